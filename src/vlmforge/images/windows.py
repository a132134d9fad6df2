"""Windows: squares of cells, within which most blocks of a vision encoder attend."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vlmforge.images.grid import Grid


@dataclass(frozen=True)
class Windows:
    """Windows over the cells of one slice, row by row, those at its edges cut off there.

    A program is given the cells window by window, so that each attends to an interval. The order is
    that of transformers' ``get_vision_window_index`` (Qwen2.5-VL, arXiv 2502.13923, section 2.1.1).

    Attributes:
        side: cells along a side.
    """

    side: int

    def order(self, grid: Grid) -> np.ndarray:
        """Which cell, counted row by row, stands at each place: int64 ``[rows * columns]``."""
        rows, columns = np.indices(grid.area, np.int64).reshape(2, -1)
        return np.lexsort((columns, rows, columns // self.side, rows // self.side))

    def bounds(self, grid: Grid) -> np.ndarray:
        """Where each place's window begins, and where it ends: int64 ``[rows * columns, 2]``."""
        heights, widths = (self._lengths(size) for size in grid.area)
        cells = np.outer(heights, widths).ravel()
        ends = cells.cumsum()
        return np.stack([ends - cells, ends], axis=1).repeat(cells, axis=0)

    def _lengths(self, size: int) -> np.ndarray:
        """Cells of each window along an axis."""
        starts = np.arange(0, size, self.side)
        return np.minimum(starts + self.side, size) - starts
