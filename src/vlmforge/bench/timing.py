"""Timing: how long a piece of work took, over several rounds."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from statistics import median

from vlmforge.bench.limits import Limits


@dataclass(frozen=True)
class Timing:
    """The rounds of a measurement.

    Attributes:
        seconds: of each round.
        limits: of the machine beside each round, if asked for: the mean of a measurement before it
            and one after.
    """

    seconds: tuple[float, ...]
    limits: tuple[Limits, ...] = ()

    @property
    def median(self) -> float:
        """Seconds of the median round."""
        return median(self.seconds)

    def summary(self) -> dict[str, float]:
        """``median``, ``fastest`` and ``slowest`` in seconds, and the number of ``rounds``."""
        spread = {"fastest": min(self.seconds), "slowest": max(self.seconds)}
        return {"median": self.median, **spread, "rounds": len(self.seconds)}

    def part(self, work: float, of: Callable[[Limits], float | None]) -> float | None:
        """The part of a limit that the median round reached, each round by its own limits.

        Args:
            work: bytes or operations of a round.
            of: the limit, in the same unit a second.
        """
        pairs = [
            (s, limit)
            for s, each in zip(self.seconds, self.limits, strict=True)
            if (limit := of(each))
        ]
        return median(work / seconds / limit for seconds, limit in pairs) if pairs else None


def timed(
    prepare: Callable[[], Callable[[], object]],
    rounds: int,
    limits: Callable[[], Limits] | None = None,
) -> Timing:
    """Time a piece of work after one round that does not count.

    Args:
        prepare: called before every round; what it returns is timed.
        rounds: at least one.
        limits: measures the machine's limits, before every round and after the last.
    """
    seconds, measured = [], []
    prepare()()
    for _ in range(rounds):
        work = prepare()
        if limits is not None:
            measured.append(limits())
        start = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - start)
    if limits is not None:
        measured.append(limits())
    beside = (before.mean(after) for before, after in pairwise(measured))
    return Timing(tuple(seconds), tuple(beside))
