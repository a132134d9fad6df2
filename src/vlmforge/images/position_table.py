"""PositionTable: learned positions of a square grid of patches, for grids of any size."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class PositionTable:
    """Rows for the patches of an image, between those of a table.

    Attributes:
        rows: float32 ``[side², width]``, row by row of a square grid.
    """

    rows: np.ndarray

    def at(self, positions: np.ndarray) -> np.ndarray:
        """Rows of the patches of one image, whose corners lie on those of the table.

        Bilinear, to the bit what transformers' ``get_vision_interpolation_indices_and_weights``
        with ``align_corners`` makes of a table: every product and every sum is rounded to float32,
        in this order.

        Args:
            positions: int64 ``[3, patches]`` of (row, column, 0), all of a grid, in any order.

        Returns:
            float32 ``[patches, width]``.
        """
        side = math.isqrt(len(self.rows))
        (above, low), (left, near) = (_taps(axis, side) for axis in positions[:2])
        total: np.ndarray | None = None
        for row, of_row in zip(above, low, strict=True):
            for column, of_column in zip(left, near, strict=True):
                part = self.rows[row * side + column] * (of_row * of_column)[:, None]
                total = part if total is None else total + part
        assert total is not None
        return total


def _taps(places: np.ndarray, side: int) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """The two entries of a table's axis around each place, int64, and how much each counts."""
    longest = np.float32(max(int(places.max(initial=0)), 1))
    at = places.astype(np.float32) * np.float32(side - 1) / longest
    first = np.floor(at)
    steps = [np.float32(step) for step in (0, 1)]
    weights = [np.maximum(1 - np.abs(at - first - step), np.float32(0)) for step in steps]
    return [np.minimum(first + step, side - 1).astype(np.int64) for step in steps], weights
