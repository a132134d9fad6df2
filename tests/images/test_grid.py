"""Grids count cells; Hugging Face's count patches."""

from __future__ import annotations

from vlmforge.images.grid import Grid


def test_cells_and_patches() -> None:
    grid = Grid.of_patches([3, 6, 10], 2)

    assert grid == Grid(frames=3, rows=3, columns=5)
    assert grid.tokens == 45
    assert grid.patches(2) == (3, 6, 10)
