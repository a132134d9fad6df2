"""Interrupted writes leave the old file or directory."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from vlmforge.formats.atomic import atomic_directory, atomic_file


def test_a_file_is_replaced_as_a_whole(tmp_path: Path) -> None:
    path = tmp_path / "new" / "file"
    for content in (b"old", b"new"):
        with atomic_file(path) as file:
            file.write(content)
        assert path.read_bytes() == content
    assert list(path.parent.iterdir()) == [path]


def test_an_interrupted_file_leaves_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")
    with pytest.raises(KeyboardInterrupt), atomic_file(path) as file:
        file.write(b"half")
        raise KeyboardInterrupt
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_directory_is_replaced_as_a_whole(tmp_path: Path) -> None:
    path = tmp_path / "samples"
    for name in ("old", "new"):
        with atomic_directory(path) as partial:
            (partial / name).write_text(name)
        assert [each.name for each in path.iterdir()] == [name]
    assert list(tmp_path.iterdir()) == [path]


def test_an_interrupted_directory_leaves_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "samples"
    path.mkdir()
    (path / "old").touch()
    with pytest.raises(KeyboardInterrupt), atomic_directory(path) as partial:
        (partial / "half").touch()
        raise KeyboardInterrupt
    assert [each.name for each in path.iterdir()] == ["old"]
    assert list(tmp_path.iterdir()) == [path]


WRITER = """
import sys
from pathlib import Path
from vlmforge.formats import atomic
with getattr(atomic, sys.argv[1])(Path(sys.argv[2])):
    print("writing", flush=True)
    sys.stdin.read()
"""


def start_writer(kind: str, path: Path) -> subprocess.Popen[bytes]:
    """A process in the middle of writing."""
    arguments = [sys.executable, "-c", WRITER, kind, str(path)]
    writer = subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert writer.stdout is not None and writer.stdout.readline() == b"writing\n"
    return writer


@pytest.mark.parametrize("kind", ["atomic_file", "atomic_directory"])
def test_leavings_of_a_killed_writer_are_cleared_away(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "made"
    writer = start_writer(kind, path)
    writer.kill()
    writer.communicate()
    assert len(list(tmp_path.iterdir())) == 1 and not path.exists()
    with {"atomic_file": atomic_file, "atomic_directory": atomic_directory}[kind](path):
        pass
    assert list(tmp_path.iterdir()) == [path]


def test_a_writer_at_work_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "made"
    writer = start_writer("atomic_file", path)
    with atomic_file(path) as file:
        file.write(b"first")
    assert len(list(tmp_path.iterdir())) == 2
    writer.communicate()
    assert writer.returncode == 0 and path.read_bytes() == b""


def test_a_directory_left_under_its_old_name_comes_back(tmp_path: Path) -> None:
    path = tmp_path / "samples"
    (tmp_path / "samples.old-0123abcd").mkdir()
    (tmp_path / "samples.old-0123abcd" / "old").touch()
    with pytest.raises(KeyboardInterrupt), atomic_directory(path):
        raise KeyboardInterrupt
    assert [each.name for each in path.iterdir()] == ["old"]
    assert list(tmp_path.iterdir()) == [path]
