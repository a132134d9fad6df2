"""The display where there is no terminal: a line now and then, and one for each stage's end."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

from vlmforge.bench.watch import Memory
from vlmforge.console.course import Piece, View
from vlmforge.console.output import warn
from vlmforge.console.wording import moving_line, piece_line, stage_line

PAUSE = 5.0
"""Least seconds between two lines that tell how far a stage is."""


class PlainScreen:
    """Lines on standard error.

    Args:
        clock: gives seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock, self._said = clock, -math.inf

    def begun(self, view: View, memory: Memory | None) -> None:
        """Nothing: its first line follows soon, if it takes long."""

    def moved(self, view: View, memory: Memory | None) -> None:
        if self._clock() - self._said >= PAUSE:
            self._said = self._clock()
            warn(moving_line(view, memory))

    def finished(self, piece: Piece) -> None:
        warn(piece_line(piece))

    def ended(self, view: View, memory: Memory | None) -> None:
        warn(stage_line(view, memory))

    def note(self, text: str) -> None:
        warn(text)
