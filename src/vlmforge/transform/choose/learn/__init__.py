"""Rotations and scales learned on the samples."""
