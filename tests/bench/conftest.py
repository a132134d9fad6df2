"""The tiny package, for benchmarks of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.run.packages import write_package
from vlmforge.run.session import Session


@pytest.fixture(scope="session")
def tiny_package(tmp_path_factory: pytest.TempPathFactory, tiny_checkpoint: Path) -> Path:
    """The directory of a package with random weights; treat it as read-only."""
    return write_package(tmp_path_factory.mktemp("benched") / "tiny", tiny_checkpoint)


@pytest.fixture(scope="session")
def session(tiny_package: Path) -> Session:
    """The package opened."""
    return Session.open(tiny_package)
