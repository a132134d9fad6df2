"""Progress, as it suits where it is shown: a terminal, a file, a program."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

from rich.live import Live

from vlmforge.bench.watch import Watch
from vlmforge.console import output
from vlmforge.console.display import Display, Screen
from vlmforge.console.events import EventScreen, warnings_told
from vlmforge.console.live import Lines, LiveScreen
from vlmforge.console.plain import PlainScreen

REFRESHED = 4
"""Times a second."""


@contextmanager
def progress(*, events: bool = False) -> Iterator[Display]:
    """A display of the work within: what it is at, the time that is left, and the memory it takes.

    Args:
        events: whether it is one of events for programs, on standard output; else it is on standard
            error, live on a terminal and lines elsewhere.
    """
    watch, terminal = Watch(), output.ERRORS
    live = terminal.is_terminal and not terminal.is_dumb_terminal and not events
    screen: Screen = EventScreen() if events else LiveScreen() if live else PlainScreen()
    display = Display(screen, watch)
    with watch.watching(), warnings_told() if events else nullcontext():
        if not live:
            yield display
            return
        lines = Lines(display.view, lambda: watch.memory)
        with Live(lines, console=terminal, transient=True, refresh_per_second=REFRESHED):
            yield display
