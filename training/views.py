"""What a vision tower looks at: parts of a picture, each divided into a grid of tokens."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import product

import torch
from torch import Tensor

from training.canvas import TOKEN, Canvas
from training.family import Family

Grid = tuple[int, int]
"""Rows and columns of merged tokens."""


@dataclass(frozen=True)
class View:
    """A part of a picture, from its upper left `corner` on.

    `corner` and `share` are shares of the picture's height and width.
    """

    grid: Grid
    corner: tuple[float, float] = (0.0, 0.0)
    share: tuple[float, float] = (1.0, 1.0)

    @property
    def tokens(self) -> int:
        """How many tokens the part has."""
        return math.prod(self.grid)

    def middles(self, drawn: tuple[int, int]) -> tuple[Tensor, Tensor]:
        """Return where rows and columns of tokens have their middles on a canvas `drawn` so."""
        down, right = (
            side * (corner + share * (torch.arange(count) + 0.5) / count)
            for side, corner, share, count in zip(
                drawn, self.corner, self.share, self.grid, strict=True
            )
        )
        return down, right

    def cell(self, point: tuple[float, float], drawn: tuple[int, int]) -> Grid | None:
        """Return the token, by row and column, that a point down and right lies in, if any."""
        row, column = (
            math.floor((place / side - corner) / share * count)
            for place, side, corner, share, count in zip(
                point, drawn, self.corner, self.share, self.grid, strict=True
            )
        )
        inside = 0 <= row < self.grid[0] and 0 <= column < self.grid[1]
        return (row, column) if inside else None


def views(canvas: Canvas, family: Family) -> tuple[View, ...]:
    """Return what a family's tower looks at, in the order of its tokens.

    The whole picture; or its tiles row by row, and behind several that of the whole.
    """
    if family.tiles is None:
        return (View(canvas.grid),)
    side = family.tiles.height
    rows, columns = (length // side for length in family.tiles.size(*canvas.shown))
    grid, share = (side // TOKEN, side // TOKEN), (1 / rows, 1 / columns)
    tiles = tuple(
        View(grid, (row / rows, column / columns), share)
        for row, column in product(range(rows), range(columns))
    )
    return tiles if len(tiles) == 1 else (*tiles, View(grid))


def tokens(canvas: Canvas, family: Family) -> int:
    """Return how many tokens a picture on `canvas` has."""
    return sum(view.tokens for view in views(canvas, family))
