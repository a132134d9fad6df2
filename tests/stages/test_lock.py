"""One process at a time works in a work directory, and the others are told which."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from vlmforge.errors import OutputError
from vlmforge.stages.lock import LOCK, NOTE, holder, locked

HOLDING = """
import sys, time
from pathlib import Path
from vlmforge.stages.lock import locked
with locked(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(600)
"""


def holding(root: Path) -> subprocess.Popen[str]:
    """A process that works there, and has begun."""
    command = [sys.executable, "-c", HOLDING, str(root), "a b"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None and process.stdout.readline() == "held\n"
    return process


def test_the_second_is_told_who_works_there_and_one_of_the_dead_is_not(tmp_path: Path) -> None:
    root = tmp_path / "work"
    process = holding(root)
    try:
        found = holder(root)
        assert found is not None and found.process == process.pid
        with pytest.raises(OutputError) as caught, locked(root):
            pass
        assert f"process {process.pid}, since {found.since}" in caught.value.what
        assert "'a b'" in caught.value.what and "--work-dir" in str(caught.value.mend)
        assert holder(root) == found, "it still works there"
    finally:
        process.kill()
        process.wait()
    assert (root / LOCK).exists() and (root / NOTE).exists()
    with locked(root):
        now = holder(root)
        assert now is not None and now.process == os.getpid()
    assert list(root.iterdir()) == [], "the directory was there before"


def test_nothing_is_left_where_nothing_was_made(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), locked(tmp_path / "work"):
        raise RuntimeError
    assert not (tmp_path / "work").exists()


@pytest.mark.parametrize("name", [LOCK, NOTE])
def test_files_of_the_users_are_not_taken_for_locks(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("mine")
    with pytest.raises(OutputError, match=name), locked(tmp_path):
        pass
    assert (tmp_path / name).read_text() == "mine"
    assert len(list(tmp_path.iterdir())) == 1
