"""The display on a terminal: a few lines that stay in place, below what is said for good."""

from __future__ import annotations

from collections.abc import Callable

from rich.console import Console, ConsoleOptions, RenderResult
from rich.progress_bar import ProgressBar
from rich.text import Text

from vlmforge.bench.watch import Memory
from vlmforge.console.course import Piece, View
from vlmforge.console.output import warn
from vlmforge.console.wording import (
    cut,
    memory_words,
    piece_line,
    piece_words,
    stage_line,
    stage_words,
    time_words,
)

BAR = 30
"""Cells of the bar, where there are as many."""


class Lines:
    """What a terminal shows now; it is asked several times a second.

    Args:
        view, memory: give what there is to be shown.
    """

    def __init__(self, view: Callable[[], View], memory: Callable[[], Memory | None]) -> None:
        self._view, self._memory = view, memory

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        view, width = self._view(), options.max_width
        lines = [stage_words(view), piece_words(view)]
        lines.append("; ".join(filter(None, [time_words(view), memory_words(self._memory())])))
        for line in filter(None, lines):
            yield Text(cut(line, width, options.encoding), no_wrap=True, end="\n")
        if view.total:
            yield ProgressBar(view.total, min(view.done, view.total), width=min(BAR, width))


class LiveScreen:
    """Says for good what is done; :class:`Lines` shows the rest."""

    def begun(self, view: View, memory: Memory | None) -> None:
        """Nothing: the lines show it."""

    def moved(self, view: View, memory: Memory | None) -> None:
        """Nothing: the lines show it."""

    def finished(self, piece: Piece) -> None:
        self.note(piece_line(piece))

    def ended(self, view: View, memory: Memory | None) -> None:
        self.note(stage_line(view, memory))

    def note(self, text: str) -> None:
        warn(text)
