"""A package for the commands that run one."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.run.packages import write_package


@pytest.fixture(scope="session")
def tiny_package(tmp_path_factory: pytest.TempPathFactory, tiny_checkpoint: Path) -> Path:
    """The directory of a package with random weights; treat it as read-only."""
    return write_package(tmp_path_factory.mktemp("packages") / "tiny", tiny_checkpoint)
