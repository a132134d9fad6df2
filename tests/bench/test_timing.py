"""Timing: preparation and the first round do not count."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from vlmforge.bench import timing


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

    assert timing.timed(prepare, 3) == timing.Timing(2.0, 1.0, 3.0, 3)
