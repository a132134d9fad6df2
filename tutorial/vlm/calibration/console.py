"""What the calibration scripts share: a progress bar, and errors without a traceback."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.logging import RichHandler
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from vlmforge.errors import VlmforgeError
from vlmforge.progress import Progress as Tell

ERRORS = Console(stderr=True)


@contextmanager
def progress_bar() -> Iterator[Tell]:
    """A function that shows how far each stage is, on the standard error."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, TimeRemainingColumn(), console=ERRORS) as bars:
        tasks = {}

        def tell(stage: str, done: int, total: int) -> None:
            if stage not in tasks:
                tasks[stage] = bars.add_task(stage, total=total)
            bars.update(tasks[stage], completed=done, total=total)

        yield tell


def run(work: Callable[[Tell], Path]) -> None:
    """Do the work; say where its files are, or exit with status 2 and what went wrong."""
    handler = RichHandler(console=ERRORS, show_time=False, show_path=False)
    logging.basicConfig(format="%(message)s", handlers=[handler])
    try:
        with progress_bar() as tell:
            path = work(tell)
    except VlmforgeError as error:
        sys.stderr.write(f"error: {error}\n")
        sys.exit(2)
    print(path)


def samples_root(directory: Path, component: str) -> Path:
    """Where ``<root>/<component>`` is written: the parent of a directory that is so called."""
    return directory.parent if directory.name == component else directory
