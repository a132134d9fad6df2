"""What the compile scripts share: paths as in the tutorial, and errors without a traceback."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

from vlmforge import console
from vlmforge.console import Report
from vlmforge.formats.private import private_directory
from vlmforge.workspace import Workspace

MODEL = "Qwen/Qwen2-VL-2B-Instruct"
CALIBRATION = Path("../calibration/calibration_data")
SPIN_WEIGHT_DIR = Path("/tmp/qbcompiler/spinWeight")


def arguments(description: str) -> argparse.ArgumentParser:
    """A parser that knows which model is compiled."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--model-name", default=MODEL, help="id or directory")
    return parser


def add_spin_weight_dir(parser: argparse.ArgumentParser) -> None:
    """Let the user choose where rotations are kept."""
    parser.add_argument("--spin-weight-dir", type=Path, default=SPIN_WEIGHT_DIR)


def workspace(model_name: str, spin_weight_dir: Path | None = None) -> Workspace:
    """``./mblt`` and ``./mxq``; rotations in a directory only this user can read and write."""
    name = Path(model_name).name
    return Workspace(Path(), name, spin_weight_dir and private_directory(spin_weight_dir))


def run(work: Callable[[Report], object]) -> None:
    """Do the work under a progress bar; an expected failure exits with status 2."""
    with console.expected_failures(), console.progress() as report:
        console.OUTPUT.print(work(report))
