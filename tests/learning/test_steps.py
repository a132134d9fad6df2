"""Learning says what it costs, keeps the best, and can be stopped."""

from __future__ import annotations

import logging

import pytest
import torch

from vlmforge.learning.steps import Budget, announce, run_steps
from vlmforge.transform.choose.learn.scales import learned_scales


def distance(scales: torch.Tensor) -> torch.Tensor:
    return (scales.log() - torch.tensor([1.0, -1.0, 0.5])).square().sum()


def test_scales_descend_and_ties_hold() -> None:
    start = torch.ones(3)
    found = learned_scales(distance, start, None, Budget(), 100)
    assert distance(found) < 0.2 * distance(start)
    tied = learned_scales(distance, start, torch.tensor([0, 1, 1]), Budget(), 200)
    assert tied[1] == tied[2]
    assert distance(tied) < distance(start)


def test_no_worse_than_the_start() -> None:
    found = learned_scales(lambda s: (s - 1).abs().sum(), torch.ones(3), None, Budget(), 20)
    assert torch.equal(found, torch.ones(3))


def test_an_interruption_keeps_the_best_and_ends_all_learning() -> None:
    budget, calls = Budget(), 0

    def loss(scales: torch.Tensor) -> torch.Tensor:
        nonlocal calls
        calls += 1
        if calls == 30:
            raise KeyboardInterrupt
        return distance(scales)

    found = learned_scales(loss, torch.ones(3), None, budget, 100)
    assert budget.stopped
    assert calls == 30
    assert distance(found) < distance(torch.ones(3))
    again = learned_scales(loss, torch.full((3,), 2.0), None, budget, 100)
    assert torch.equal(again, torch.full((3,), 2.0))
    assert calls == 30


@pytest.mark.parametrize(
    ("seconds", "shown"), [(0.2, "1 s"), (80, "80 s"), (600, "10 min"), (9000, "2.5 h")]
)
def test_the_cost_is_told(caplog: pytest.LogCaptureFixture, seconds: float, shown: str) -> None:
    with caplog.at_level(logging.WARNING):
        announce("R1", seconds, 2_500_000_000)
    assert caplog.messages == [
        f"Learning R1 takes about {shown} and 2.5 GB. Ctrl-C ends it and keeps the best so far."
    ]


def test_progress_is_reported() -> None:
    told: list[tuple[str, int, int]] = []
    run_steps(3, lambda done: None, Budget(), lambda *facts: told.append(facts), "learning")
    assert told == [("learning", 1, 3), ("learning", 2, 3), ("learning", 3, 3)]
