"""What transformations are given: rotations and scales, from samples."""
