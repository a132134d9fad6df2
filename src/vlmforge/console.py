"""What every command shares: errors without tracebacks, progress bars, and tables."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Column, Table

from vlmforge.errors import VlmforgeError

ERRORS = Console(stderr=True, highlight=False)
OUTPUT = Console(highlight=False)

FAILED = 2
"""Exit status after an expected failure."""


class Report(Protocol):
    """Tells that ``done`` of ``total`` steps of a piece of work are done."""

    def __call__(self, text: str, done: int, total: int) -> None: ...


@contextmanager
def progress() -> Iterator[Report]:
    """A bar for each piece of work reported, on standard error."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, TimeElapsedColumn(), console=ERRORS) as bars:
        tasks: dict[str, Any] = {}

        def report(text: str, done: int, total: int) -> None:
            if text not in tasks:
                tasks[text] = bars.add_task(text, total=total)
            bars.update(tasks[text], completed=done, total=total)

        yield report


@contextmanager
def expected_failures() -> Iterator[None]:
    """Print an expected failure as what, where and how to mend it, and exit with status 2."""
    try:
        yield
    except VlmforgeError as error:
        ERRORS.print("[bold red]error:[/] ", end="")
        ERRORS.print(str(error), markup=False, soft_wrap=True)
        sys.exit(FAILED)
    except KeyboardInterrupt:
        ERRORS.print("interrupted; files already finished are kept")
        sys.exit(130)


def print_json(value: object) -> None:
    """Write one JSON document to standard output."""
    print(json.dumps(value, indent=2, ensure_ascii=False))


def print_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Write a table to standard output."""
    folded = (Column(name, overflow="fold") for name in columns)
    table = Table(*folded, title=title, title_justify="left")
    for row in rows:
        table.add_row(*(str(cell) for cell in row))
    OUTPUT.print(table)


def print_facts(title: str, facts: Mapping[str, object]) -> None:
    """Write names and values as a table of two columns."""
    print_table(title, ("", ""), list(facts.items()))


def human_size(size: float) -> str:
    """A number of bytes such as ``"1.4 MB"``."""
    if size < 1000:
        return f"{size:.0f} B"
    exponent = min(3, int(math.log10(size)) // 3)
    return f"{size / 1000**exponent:.1f} {'kMG'[exponent - 1]}B"
