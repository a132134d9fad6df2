"""VisionFeeds: patches as Hugging Face orders them, and as a vision program reads them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from vlmforge.images.grid import Grid
from vlmforge.images.patches import PatchLayout
from vlmforge.images.position_table import PositionTable

POSITION_ROWS = "position_rows"
"""The input of learned positions."""


@dataclass(frozen=True)
class VisionFeeds:
    """Makes the inputs of a vision program from the patches of one slice, and puts back its rows.

    A program whose blocks attend within windows is given its cells window by window.

    Attributes:
        layout: of the patches.
        fixed: whether the program takes ``images`` of one size, and no ``patches``.
        tables: of learned positions, by the names of the inputs.
    """

    layout: PatchLayout
    fixed: bool
    tables: Mapping[str, PositionTable] = field(default_factory=dict)

    @staticmethod
    def of(
        meta: Mapping[str, Any], tables: Mapping[str, PositionTable] | None = None
    ) -> VisionFeeds:
        """Those of a vision program, by its ``Program.meta``."""
        fixed = meta.get("layout", "fixed") == "fixed"
        return VisionFeeds(PatchLayout.of(meta), fixed, tables or {})

    def __call__(self, patches: np.ndarray, grid: Grid) -> dict[str, np.ndarray]:
        """The inputs by name: ``images``, or ``patches`` and ``position_ids``; and further ones.

        Args:
            patches: float32 ``[patches, 3 * time * patch²]`` of one slice, row by row of cells.
            grid: its rows and columns.
        """
        patches = self.to_program(patches, grid)
        positions = np.ascontiguousarray(self.to_program(self.layout.positions(grid).T, grid).T)
        feeds = {"patches": patches, "position_ids": positions}
        if self.fixed:
            feeds = {"images": self.layout.blocks(patches)}
        feeds |= {name: table.at(positions) for name, table in self.tables.items()}
        windows, size = self.layout.windows, self.layout.cell_patches
        if windows is not None:
            feeds["visible"] = (windows.bounds(grid) * size).repeat(size, axis=0)
        return feeds

    def to_program(self, rows: np.ndarray, grid: Grid) -> np.ndarray:
        """Rows of a slice, one or several of each cell, in the order of the program."""
        if self.layout.windows is None:
            return rows
        return _of_cells(rows, self.layout.windows.order(grid))

    def from_program(self, rows: np.ndarray, grid: Grid) -> np.ndarray:
        """Rows that a program gave, row by row of cells."""
        if self.layout.windows is None:
            return rows
        return _of_cells(rows, np.argsort(self.layout.windows.order(grid)))


def _of_cells(rows: np.ndarray, order: np.ndarray) -> np.ndarray:
    return rows.reshape(len(order), -1)[order].reshape(rows.shape)
