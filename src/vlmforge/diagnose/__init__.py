"""Finds where a package's error comes from: integer program and float original, side by side."""
