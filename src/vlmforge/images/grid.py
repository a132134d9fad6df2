"""Grid: how many tokens an image or a video has, and where they sit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple


class Grid(NamedTuple):
    """Cells of an image or a video; each becomes one token.

    A cell is a merge group: ``merge * merge`` patches. Hugging Face's ``grid_thw`` counts patches.

    Attributes:
        frames: slices in time: one of an image, one of every two frames of a video.
        rows, columns: of cells in each slice.
        pace: positions from a slice to the next; 1 but where they tell the time.
    """

    frames: int
    rows: int
    columns: int
    pace: float = 1.0

    @staticmethod
    def of_patches(grid_thw: Sequence[int], merge_size: int) -> Grid:
        """The grid of a ``grid_thw``, whose rows and columns are multiples of ``merge_size``."""
        frames, rows, columns = grid_thw
        return Grid(frames, rows // merge_size, columns // merge_size)

    def patches(self, merge_size: int) -> tuple[int, int, int]:
        """The same as a ``grid_thw``."""
        return self.frames, self.rows * merge_size, self.columns * merge_size

    @property
    def area(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.rows, self.columns

    @property
    def record(self) -> tuple[int, int, int] | tuple[int, int, int, float]:
        """What sets it apart from others: its sizes, and its pace if that is not 1."""
        sizes = (self.frames, *self.area)
        return sizes if self.pace == 1 else (*sizes, self.pace)

    @property
    def tokens(self) -> int:
        """Tokens of all slices."""
        return self.frames * self.rows * self.columns
