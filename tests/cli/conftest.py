"""A package for the commands that run one."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from tests.run.packages import write_package


def default_signals() -> None:
    """Undo what a shell's background jobs inherit: they ignore Ctrl-C."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)


@pytest.fixture(scope="session")
def tiny_package(tmp_path_factory: pytest.TempPathFactory, tiny_checkpoint: Path) -> Path:
    """The directory of a package with random weights; treat it as read-only."""
    return write_package(tmp_path_factory.mktemp("packages") / "tiny", tiny_checkpoint)
