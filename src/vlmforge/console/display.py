"""The display of long work: one, whatever it is shown on.

work ── Progress, Stages ──► Display ── View ──► Screen: live, plain or events
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from threading import Lock
from typing import Protocol

from vlmforge.bench.watch import Memory, Watch
from vlmforge.console.course import Course, Piece, View
from vlmforge.progress import Stage


class Report(Protocol):
    """Tells that ``done`` of ``total`` steps of a piece of work are done; as scripts name it."""

    def __call__(self, text: str, done: int, total: int) -> None: ...


class Screen(Protocol):
    """What a display is shown on."""

    def begun(self, view: View, memory: Memory | None) -> None:
        """A stage has begun."""

    def moved(self, view: View, memory: Memory | None) -> None:
        """A step is done."""

    def finished(self, piece: Piece) -> None:
        """A piece of work without stages is done."""

    def ended(self, view: View, memory: Memory | None) -> None:
        """A stage is done."""

    def note(self, text: str) -> None:
        """Something is to be said beside."""


class Display:
    """A :class:`Report`, and one of stages, that shows what it is told.

    Args:
        screen: what it is shown on.
        watch: of the memory.
        clock: gives seconds.
    """

    def __init__(
        self, screen: Screen, watch: Watch, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._screen, self._watch, self._clock = screen, watch, clock
        self._course, self._lock = Course(), Lock()

    def __call__(self, text: str, done: int, total: int) -> None:
        """Tell that ``done`` of ``total`` steps of a piece of work are done."""
        with self._lock:
            piece = self._course.report(text, done, total, self._clock())
        view = self.view()
        self._screen.moved(view, self._watch.memory)
        if view.stage is None and done == total:
            self._screen.finished(piece)

    def expect(self, stages: Sequence[Stage]) -> None:
        """See :class:`vlmforge.progress.Stages`."""
        with self._lock:
            self._course.expect(stages)

    def begin(self, name: str) -> None:
        """See :class:`vlmforge.progress.Stages`."""
        with self._lock:
            self._course.begin(name, self._clock())
        self._screen.begun(self.view(), self._watch.memory)

    def end(self, name: str) -> None:
        """See :class:`vlmforge.progress.Stages`."""
        self._watch.look()
        view = self.view()
        with self._lock:
            self._course.end(self._clock())
        self._screen.ended(view, self._watch.memory)

    def note(self, text: str) -> None:
        """Say something beside: what is about to be done, and why."""
        self._screen.note(text)

    def view(self) -> View:
        """How far the work is now."""
        with self._lock:
            return self._course.view(self._clock())
