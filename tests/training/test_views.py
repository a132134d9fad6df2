"""Views cover a picture, and a token is where its middle lies."""

from __future__ import annotations

import pytest

from training.canvas import Canvas
from training.family import FAMILIES
from training.views import View, tokens, views

WIDE = Canvas((224, 448), (210, 420))


@pytest.mark.parametrize("family", FAMILIES)
def test_each_middle_lies_in_its_token(family: str) -> None:
    for view in views(WIDE, FAMILIES[family]):
        down, right = view.middles(WIDE.drawn)
        cells = [[view.cell((y, x), WIDE.drawn) for x in right.tolist()] for y in down.tolist()]
        rows, columns = view.grid
        assert cells == [[(row, column) for column in range(columns)] for row in range(rows)]


def test_tiles_divide_a_picture_and_one_shows_it_whole() -> None:
    family = FAMILIES["internvl"]
    *tiles, whole = views(WIDE, family)
    assert len(tiles) == 8 and whole == View((4, 4))
    assert tokens(WIDE, family) == 9 * 16
    for point in ((10.0, 10.0), (223.0, 447.0), (100.0, 300.0)):
        assert sum(tile.cell(point, WIDE.drawn) is not None for tile in tiles) == 1
    corner = tiles[0].cell((0.0, 0.0), WIDE.drawn)
    assert corner == (0, 0) and tiles[0].cell((223.0, 447.0), WIDE.drawn) is None


def test_a_small_square_is_one_tile() -> None:
    small = Canvas((112, 112), (112, 112))
    assert views(small, FAMILIES["internvl"]) == (View((4, 4)),)
