"""Feeds: patches as Hugging Face orders them, and as a vision program reads them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from vlmforge.images.grid import Grid
from vlmforge.images.patches import PatchLayout
from vlmforge.images.position_table import PositionTable
from vlmforge.images.tiles import TILES

POSITION_ROWS = "position_rows"
"""The input of learned positions."""

MERGED = "merged"
"""The input that says which rows of a tile are joined to tokens."""


class Feeds(Protocol):
    """Makes the inputs of a vision program of the patches of a slice, and puts back its rows."""

    @property
    def layout(self) -> PatchLayout:
        """Of the patches."""
        ...

    def __call__(self, patches: np.ndarray, grid: Grid) -> dict[str, np.ndarray]:
        """The inputs by name.

        Args:
            patches: float32 ``[patches, 3 * time * patch²]`` of one slice, row by row of cells.
            grid: its rows and columns.
        """
        ...

    def to_program(self, rows: np.ndarray, grid: Grid) -> np.ndarray:
        """Rows of a slice, one or several of each cell, in the order of the program."""
        ...

    def from_program(self, rows: np.ndarray, grid: Grid) -> np.ndarray:
        """Rows that a program gave, row by row of cells."""
        ...


def vision_feeds(
    meta: Mapping[str, Any], tables: Mapping[str, PositionTable] | None = None
) -> Feeds:
    """Those of a vision program, by its ``Program.meta``; tables of learned positions by input."""
    layout, kind = PatchLayout.of(meta), meta.get("layout", "fixed")
    if kind == TILES:
        return TileFeeds(layout, meta.get("class_token", False), tables or {})
    return VisionFeeds(layout, kind == "fixed", tables or {})


@dataclass(frozen=True)
class TileFeeds:
    """The feeds of tiles, all of one size, whose positions are the rows of tables as they are.

    Attributes:
        layout: of the patches.
        class_token: whether a row of zeros follows them.
        tables: of learned positions, by the names of the inputs.
    """

    layout: PatchLayout
    class_token: bool
    tables: Mapping[str, PositionTable] = field(default_factory=dict)

    def __call__(self, patches: np.ndarray, grid: Grid) -> dict[str, np.ndarray]:
        """See :class:`Feeds`: ``patches``, which of them are ``merged``, and further ones."""
        further = np.zeros((int(self.class_token), patches.shape[1]), np.float32)
        feeds = {"patches": np.concatenate([patches, further]), MERGED: np.arange(len(patches))}
        return feeds | {name: table.rows for name, table in self.tables.items()}

    def to_program(self, rows: np.ndarray, grid: Grid) -> np.ndarray:
        """See :class:`Feeds`."""
        return rows

    def from_program(self, rows: np.ndarray, grid: Grid) -> np.ndarray:
        """See :class:`Feeds`."""
        return rows


@dataclass(frozen=True)
class VisionFeeds:
    """The feeds of pictures of one size, or of any.

    A program whose blocks attend within windows is given its cells window by window.

    Attributes:
        layout: of the patches.
        fixed: whether the program takes ``images`` of one size, and no ``patches``.
        tables: of learned positions, by the names of the inputs.
    """

    layout: PatchLayout
    fixed: bool
    tables: Mapping[str, PositionTable] = field(default_factory=dict)

    def __call__(self, patches: np.ndarray, grid: Grid) -> dict[str, np.ndarray]:
        """See :class:`Feeds`: ``images``, or ``patches`` and ``position_ids``; and further ones."""
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
        """See :class:`Feeds`."""
        if self.layout.windows is None:
            return rows
        return _of_cells(rows, self.layout.windows.order(grid))

    def from_program(self, rows: np.ndarray, grid: Grid) -> np.ndarray:
        """See :class:`Feeds`."""
        if self.layout.windows is None:
            return rows
        return _of_cells(rows, np.argsort(self.layout.windows.order(grid)))


def _of_cells(rows: np.ndarray, order: np.ndarray) -> np.ndarray:
    return rows.reshape(len(order), -1)[order].reshape(rows.shape)
