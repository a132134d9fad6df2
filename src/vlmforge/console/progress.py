"""Progress bars, on standard error."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol

from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from vlmforge.console.output import ERRORS
from vlmforge.text import shown

COLUMNS = (
    TextColumn("{task.description}", markup=False),
    BarColumn(),
    MofNCompleteColumn(),
    TimeElapsedColumn(),
    TextColumn("left"),
    TimeRemainingColumn(),
)


class Report(Protocol):
    """Tells that ``done`` of ``total`` steps of a piece of work are done."""

    def __call__(self, text: str, done: int, total: int) -> None: ...


@contextmanager
def progress() -> Iterator[Report]:
    """A bar for each piece of work reported, with the time it took and the time that is left."""
    with Progress(*COLUMNS, console=ERRORS) as bars:
        tasks: dict[str, Any] = {}

        def report(text: str, done: int, total: int) -> None:
            if text not in tasks:
                tasks[text] = bars.add_task(shown(text, keep=""), total=total)
            bars.update(tasks[text], completed=done, total=total)

        yield report
