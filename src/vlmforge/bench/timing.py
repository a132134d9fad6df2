"""Timing: how long a piece of work took, over several rounds."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median


@dataclass(frozen=True)
class Timing:
    """Seconds of each round.

    Attributes:
        median, fastest, slowest: seconds.
        rounds: how many were timed.
    """

    median: float
    fastest: float
    slowest: float
    rounds: int


def timed(prepare: Callable[[], Callable[[], object]], rounds: int) -> Timing:
    """Time a piece of work after one round that does not count.

    Args:
        prepare: called before every round; what it returns is timed.
        rounds: at least one.
    """
    seconds = []
    for _ in range(rounds + 1):
        work = prepare()
        start = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - start)
    counted = seconds[1:]
    return Timing(median(counted), min(counted), max(counted), rounds)
