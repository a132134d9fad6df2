"""Learns scales and rotations on the samples, starting from what is closed form or random."""
