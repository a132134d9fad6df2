"""Equivalent transformations: other weights, the same function, easier to quantize."""
