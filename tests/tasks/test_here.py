"""Tasks that are computed here: lazily, in order, one at a time."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from vlmforge.tasks.here import HERE
from vlmforge.tasks.tasks import Tasks


def test_no_item_is_asked_for_ahead() -> None:
    asked: list[int] = []

    def items() -> Iterator[int]:
        for item in range(3):
            asked.append(item)
            yield item

    tasks: Tasks = HERE
    results = tasks.map(str, items())
    assert tasks.width == 1 and asked == []
    assert next(results) == "0" and asked == [0]
    assert list(results) == ["1", "2"] and asked == [0, 1, 2]


def test_a_failure_is_that_of_the_function() -> None:
    with pytest.raises(ZeroDivisionError):
        list(HERE.map((1).__truediv__, [1, 0]))


def test_there_is_no_other_machine() -> None:
    assert list(HERE.everywhere(dict)) == []
