"""How fast a computer is: measured once, and again with another number of threads."""

from __future__ import annotations

import torch

from tests.arithmetic.machines import threads
from vlmforge.stages.stack import EXACT, measured_once, products_seconds


def test_a_speed_is_measured_once_for_a_number_of_threads() -> None:
    made: list[tuple[int, str]] = []

    @measured_once
    def speed(what: str) -> float:
        """Of something."""
        made.append((torch.get_num_threads(), what))
        return float(len(made))

    with threads(1):
        assert [speed("a"), speed("a"), speed("b")] == [1.0, 1.0, 2.0]
    with threads(2):
        assert [speed("a"), speed("a")] == [3.0, 3.0]
    with threads(1):
        assert speed("a") == 1.0
    assert made == [(1, "a"), (1, "b"), (2, "a")] and speed.__doc__ == "Of something."


def test_products_take_time() -> None:
    place = torch.device("cpu")
    first, again = (products_seconds(((64, 32),), 16, EXACT, place) for _ in range(2))
    assert first == again > 0
