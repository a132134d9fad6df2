"""Progress: how long work tells how far it is, and in what words times and sizes are told."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

Progress = Callable[[str, int, int], None]
"""Called with what is done, how much of it is done, and how much there is."""


@dataclass(frozen=True)
class Stage:
    """A stage of long work.

    Attributes:
        name: such as ``"mxq language"``.
        seconds: about how long it takes, None where that is not known.
        at_most: whether it takes no longer, and may well take less.
    """

    name: str
    seconds: float | None = None
    at_most: bool = False


@runtime_checkable
class Stages(Protocol):
    """A :data:`Progress` that is told of stages, too."""

    def __call__(self, text: str, done: int, total: int) -> None:
        """As a :data:`Progress`."""

    def expect(self, stages: Sequence[Stage]) -> None:
        """All stages, in order; one that never begins is over when a later one begins."""

    def begin(self, name: str) -> None:
        """A stage begins; what is told from now on belongs to it."""

    def end(self, name: str) -> None:
        """It is done."""


@contextmanager
def in_stage(progress: Progress | None, name: str) -> Iterator[None]:
    """What is done within is a stage, for a progress that is told of them.

    It does not end where an exception does.
    """
    stages = progress if isinstance(progress, Stages) else None
    if stages is not None:
        stages.begin(name)
    yield
    if stages is not None:
        stages.end(name)


def duration(seconds: float) -> str:
    """A time such as ``"40 s"``, ``"12 min"`` or ``"1.5 h"``."""
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    if seconds < 5400:
        return f"{round(seconds / 60)} min"
    return f"{seconds / 3600:.1f} h"


def human_size(size: float) -> str:
    """A number of bytes such as ``"1.4 MB"``."""
    if size < 1000:
        return f"{size:.0f} B"
    exponent = min(3, int(math.log10(size)) // 3)
    return f"{size / 1000**exponent:.1f} {'kMG'[exponent - 1]}B"
