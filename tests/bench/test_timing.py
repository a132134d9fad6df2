"""Timing: preparation and the first round do not count; each round has limits of its own."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from vlmforge.bench import timing
from vlmforge.bench.limits import Limits


class Clock:
    """Time that passes only when told."""

    def __init__(self) -> None:
        self.now = 0.0

    def perf_counter(self) -> float:
        return self.now


def test_only_prepared_work_counts_and_the_first_round_does_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock, durations = Clock(), iter([100.0, 3.0, 1.0, 2.0])
    monkeypatch.setattr(timing, "time", clock)

    def prepare() -> Callable[[], None]:
        clock.now += 50

        def work() -> None:
            clock.now += next(durations)

        return work

    timed = timing.timed(prepare, 3)
    assert timed.summary() == {"median": 2.0, "fastest": 1.0, "slowest": 3.0, "rounds": 3}


def test_a_round_is_compared_with_the_limits_before_and_after_it() -> None:
    speeds = iter([10.0, 30.0, 50.0])
    timed = timing.timed(lambda: lambda: None, 2, lambda: Limits(next(speeds), None))
    assert timed.limits == (Limits(20.0, None), Limits(40.0, None))


def test_the_part_of_a_limit_is_that_of_the_median_round() -> None:
    limits = [Limits(speed, None) for speed in (10.0, 20.0, 40.0)]
    timed = timing.Timing((1.0, 2.0, 0.5), tuple(limits))
    assert timed.part(8.0, lambda each: each.read_bandwidth) == 0.4
    assert timed.part(8.0, lambda each: each.int8_peak) is None
