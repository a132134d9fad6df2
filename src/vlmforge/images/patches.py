"""PatchLayout: frames, Hugging Face's patches and the blocks of a fixed size, and the ways between.

All three hold the same numbers, in the order of their axes, the slowest first:

- ``s`` slices, ``t`` frames of a slice
- ``R``, ``C`` rows and columns of cells; ``r``, ``c`` of patches in a cell; ``y``, ``x`` of pixels
  in a patch
- ``k`` colors
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from vlmforge.images.grid import Grid
from vlmforge.images.windows import Windows

FRAMES = "stRryCcxk"
"""``[slices * time, height, width, 3]``: as images are stored."""

PATCHES = "sRCrcktyx"
"""``[patches, 3 * time * patch²]``: Hugging Face's ``pixel_values``, cell by cell."""

BLOCKS = "sRCyrcxkt"
"""``[cells * patch, merge² * patch, 3 * time]``: a row block a cell, its patches side by side."""

COLORS = 3


@dataclass(frozen=True)
class PatchLayout:
    """How pixels are divided into patches, and patches gathered into cells.

    Attributes:
        patch_size: side of a square patch, in pixels.
        merge_size: side of a cell, in patches.
        temporal_patch_size: frames of a slice; a still image is repeated as often.
        window: side of a window, in cells; 0 where every patch sees all of its slice.
    """

    patch_size: int = 14
    merge_size: int = 2
    temporal_patch_size: int = 2
    window: int = 0

    @staticmethod
    def of(meta: Mapping[str, Any]) -> PatchLayout:
        """That of a vision program, by its ``Program.meta``."""
        sizes = (meta["patch_size"], meta["merge_size"], meta["temporal_patch_size"])
        return PatchLayout(*sizes, meta.get("window", 0))

    def facts(self) -> dict[str, int]:
        """What a vision program's ``meta`` says of it, for :meth:`of`."""
        return {
            "patch_size": self.patch_size,
            "merge_size": self.merge_size,
            "temporal_patch_size": self.temporal_patch_size,
            **({"window": self.window} if self.window else {}),
        }

    @property
    def side(self) -> int:
        """Of a cell, in pixels."""
        return self.patch_size * self.merge_size

    @property
    def windows(self) -> Windows | None:
        """Within which the vision encoder attends, if it does."""
        return Windows(self.window) if self.window else None

    @property
    def cell_patches(self) -> int:
        """Patches of a cell."""
        return self.merge_size**2

    @property
    def patch_values(self) -> int:
        """Numbers of a patch."""
        return COLORS * self.temporal_patch_size * self.patch_size**2

    def grid(self, frames: int, height: int, width: int) -> Grid:
        """The grid of so many frames of this size in pixels, multiples of :attr:`side`."""
        slices = -(-frames // self.temporal_patch_size)
        return Grid(slices, height // self.side, width // self.side)

    def fold(self, frames: np.ndarray) -> np.ndarray:
        """Frames as patches, ``[patches, 3 * time * patch²]``, slice by slice.

        Args:
            frames: ``[frames, height, width, 3]``, at least one; the last is repeated until the
                last slice is whole.
        """
        count, height, width, _ = frames.shape
        missing = -count % self.temporal_patch_size
        whole = np.concatenate([frames, *[frames[-1:]] * missing])
        grid = self.grid(count, height, width)
        return self._arranged(whole, FRAMES, PATCHES, grid).reshape(-1, self.patch_values)

    def unfold(self, patches: np.ndarray, grid: Grid) -> np.ndarray:
        """The inverse of :meth:`fold`: ``[frames, height, width, 3]``, repeated frames included."""
        height, width = grid.rows * self.side, grid.columns * self.side
        return self._arranged(patches, PATCHES, FRAMES, grid).reshape(-1, height, width, COLORS)

    def blocks(self, patches: np.ndarray) -> np.ndarray:
        """Patches as a vision program of a fixed size reads them.

        Args:
            patches: ``[patches, 3 * time * patch²]``, whole cells.

        Returns:
            ``[cells * patch, merge² * patch, 3 * time]`` (``[896, 56, 6]`` for 224 × 224).
        """
        width, depth = self.cell_patches * self.patch_size, COLORS * self.temporal_patch_size
        blocks = self._arranged(patches, PATCHES, BLOCKS, self._in_a_row(patches))
        return blocks.reshape(-1, width, depth)

    def of_blocks(self, blocks: np.ndarray) -> np.ndarray:
        """The inverse of :meth:`blocks`."""
        patches = self._arranged(blocks, BLOCKS, PATCHES, self._in_a_row(blocks))
        return patches.reshape(-1, self.patch_values)

    def positions(self, grid: Grid) -> np.ndarray:
        """Where the patches of one slice sit: int64 ``[3, patches]`` of (row, column, 0)."""
        places = np.indices((grid.rows * self.merge_size, grid.columns * self.merge_size))
        flat = np.concatenate([places, np.zeros_like(places[:1])])
        split = flat.reshape(3, grid.rows, self.merge_size, grid.columns, self.merge_size)
        source, target = "aRrCc", "a" + "".join(axis for axis in PATCHES if axis in "RCrc")
        return _moved(split, source, target).reshape(3, -1)

    def _in_a_row(self, numbers: np.ndarray) -> Grid:
        """The cells as one row of them; the order within a cell is the same in any grid."""
        return Grid(1, 1, numbers.size // (self.cell_patches * self.patch_values))

    def _arranged(self, numbers: np.ndarray, source: str, target: str, grid: Grid) -> np.ndarray:
        sizes = {"s": grid.frames, "R": grid.rows, "C": grid.columns, "k": COLORS}
        sizes |= {"t": self.temporal_patch_size} | dict.fromkeys("rc", self.merge_size)
        sizes |= dict.fromkeys("yx", self.patch_size)
        return _moved(numbers.reshape([sizes[axis] for axis in source]), source, target)


def _moved(numbers: np.ndarray, source: str, target: str) -> np.ndarray:
    """A contiguous array whose axes stand in another order."""
    return np.ascontiguousarray(numbers.transpose([source.index(axis) for axis in target]))
