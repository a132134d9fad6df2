"""Buckets of images by size and shape, to see whether a package is as good on all of them."""

from __future__ import annotations

from vlmforge.images.grid import Grid

BOUNDS = (16, 64, 256, 1024)
"""Most tokens of an image in each bucket but the last."""

LONG = 1.5
"""Times as long as wide an image is that is not called square."""

SEVERAL = "several images"
"""The bucket of questions about more than one."""


def bucket(grid: Grid) -> str:
    """The bucket of an image, such as ``"17 to 64 tokens, wide"``."""
    least = 1
    size = f"over {BOUNDS[-1]} tokens"
    for bound in BOUNDS:
        if grid.tokens <= bound:
            size = f"{least} to {bound} tokens"
            break
        least = bound + 1
    return f"{size}, {_shape(grid)}"


def _shape(grid: Grid) -> str:
    if grid.columns > LONG * grid.rows:
        return "wide"
    return "tall" if grid.rows > LONG * grid.columns else "square"
