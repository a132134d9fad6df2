"""Runs the steps of an optimization: says what they cost first, keeps the best, can be stopped."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from vlmforge.progress import Progress, duration

logger = logging.getLogger(__name__)

Found = TypeVar("Found")


@dataclass
class Budget:
    """Whether learning goes on; one Ctrl-C ends all of it, and keeps what was found."""

    stopped: bool = False

    def stop(self) -> None:
        """Learn nothing more."""
        self.stopped = True
        logger.warning("Learning is stopped; the best so far is kept.")


@dataclass(frozen=True)
class Learning:
    """How long something is learned, and where.

    Attributes:
        steps: how many.
        budget: says when to stop.
        device: where to compute, as torch names it.
        progress: is told of every step.
    """

    steps: int
    budget: Budget
    device: str = "cpu"
    progress: Progress | None = None


def announce(what: str, seconds: float, memory: int = 0) -> None:
    """Tell what learning will cost: estimated seconds, and bytes beyond the model's."""
    needed = f" and {memory / 1e9:.1f} GB" if memory else ""
    logger.warning(
        "Learning %s takes about %s%s. Ctrl-C ends it and keeps the best so far.",
        what,
        duration(seconds),
        needed,
    )


def timed(work: Callable[[], Found]) -> tuple[Found, float]:
    """The result and the seconds it took."""
    start = time.perf_counter()
    result = work()
    return result, time.perf_counter() - start


def run_steps(
    count: int,
    step: Callable[[int], None],
    budget: Budget,
    progress: Progress | None = None,
    doing: str = "learning",
) -> None:
    """Call ``step(0)`` to ``step(count - 1)``, unless stopped."""
    try:
        for done in range(count):
            if budget.stopped:
                return
            step(done)
            if progress is not None:
                progress(doing, done + 1, count)
    except KeyboardInterrupt:
        budget.stop()
