"""Spans are cut whole, and counted from where a part of a sequence begins."""

from __future__ import annotations

import pytest

from vlmforge.images.grid import Grid
from vlmforge.prompt.spans import Span, whole, within

FIRST = Span(3, -1, Grid(1, 2, 2))
EQUAL = Span(7, -1, Grid(1, 2, 2))
VIDEO = Span(20, -2, Grid(3, 1, 2))
SPANS = (FIRST, EQUAL, VIDEO)


@pytest.mark.parametrize(
    ("length", "expected"),
    [(0, 0), (3, 3), (4, 3), (6, 3), (7, 7), (8, 7), (11, 11), (20, 20), (23, 20), (26, 26)],
)
def test_cuts_part_nothing(length: int, expected: int) -> None:
    assert whole(SPANS, length) == expected


def test_parts_hold_what_they_touch() -> None:
    assert within(SPANS, 0, 3) == ()
    assert within(SPANS, 4, 8) == (FIRST.moved(-4), EQUAL.moved(-4))
    assert within(SPANS, 7, 21) == (EQUAL.moved(-7), VIDEO.moved(-7))
    assert VIDEO.moved(-20).stop == 6
