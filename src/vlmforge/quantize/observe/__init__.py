"""What values a graph takes on the samples."""
