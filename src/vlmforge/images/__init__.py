"""Images: read from files, resized, and laid out as patches; without torch."""
