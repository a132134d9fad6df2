"""What the calibration scripts share: a progress bar, and errors without a traceback."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

from rich.logging import RichHandler

from vlmforge import console

SCRIPTS = {"vlmforge images": "python download_images.py"}
"""What stands for the commands that messages name."""


def run(work: Callable[[console.Report], Path]) -> None:
    """Do the work; say where its files are, or exit with status 2 and what went wrong."""
    handler = RichHandler(console=console.ERRORS, show_time=False, show_path=False)
    logging.basicConfig(format="%(message)s", handlers=[handler])
    with console.expected_failures(SCRIPTS), console.progress() as tell:
        path = work(tell)
    console.print_text(str(path))


def samples_root(directory: Path, component: str) -> Path:
    """Where ``<root>/<component>`` is written: the parent of a directory that is so called."""
    return directory.parent if directory.name == component else directory
