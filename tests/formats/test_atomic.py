"""Interrupted writes leave the old file or directory."""

from __future__ import annotations

import errno
import subprocess
import sys
from pathlib import Path

import pytest

from vlmforge.errors import OutputError, SystemFailure
from vlmforge.formats.atomic import atomic_directory, atomic_file, restore, writing
from vlmforge.formats.kind import Kind


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


INTERRUPTED = """
import os, signal, sys
from pathlib import Path
import filelock
from vlmforge.formats import atomic

if sys.argv[3] == "two steps":
    atomic.exchange = lambda one, other: False
left = int(sys.argv[2])

def count(event, arguments):
    global left
    if event.split(".")[0] in ("os", "open", "shutil", "ctypes", "fcntl"):
        left -= 1
        if left < 0:
            os.kill(os.getpid(), signal.SIGKILL)

path = Path(sys.argv[1])
sys.addaudithook(count)
with atomic.atomic_directory(path) as partial:
    for name in ("a", "b"):
        (partial / name).write_text("new")
"""


@pytest.mark.parametrize("way", ["one step", "two steps"])
def test_a_kill_between_any_two_calls_leaves_a_whole_directory(way: str, tmp_path: Path) -> None:
    path = tmp_path / "made"
    for calls in range(0, 200, 3):
        with atomic_directory(path) as partial:
            for name in ("a", "b"):
                (partial / name).write_text("old")
        command = [sys.executable, "-c", INTERRUPTED, str(path), str(calls), way]
        done = subprocess.run(command, check=False)
        if way == "two steps":
            restore(path)
        assert {file.name: file.read_text() for file in path.iterdir()} in (
            {"a": "old", "b": "old"},
            {"a": "new", "b": "new"},
        )
        if done.returncode == 0:
            break
    assert done.returncode == 0 and calls > 6
    with atomic_directory(path):
        pass
    assert list(tmp_path.iterdir()) == [path]


def test_a_link_stays_one_and_its_target_is_replaced(tmp_path: Path) -> None:
    big, link = tmp_path / "big", tmp_path / "link"
    (big / "old").mkdir(parents=True)
    link.symlink_to("big/old")
    with atomic_directory(link) as partial:
        assert partial.parent.parent == big
        (partial / "new").touch()
    assert link.is_symlink() and [each.name for each in (big / "old").iterdir()] == ["new"]

    name = tmp_path / "name"
    name.symlink_to(big / "file")
    with atomic_file(name) as file:
        file.write(b"new")
    assert name.is_symlink() and (big / "file").read_bytes() == b"new"


def test_what_only_looks_like_a_leaving_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "made"
    kept = [tmp_path / f"made.{name}-0123abcd" for name in ("partial", "old")]
    for directory in kept:
        directory.mkdir()
        (directory / "thesis.txt").write_text("mine")
    note = tmp_path / "made.partial-00000000"
    note.write_text("mine")
    with atomic_directory(path) as partial:
        (partial / "new").touch()
    assert all((directory / "thesis.txt").read_text() == "mine" for directory in kept)
    assert note.read_text() == "mine"


def test_a_leaving_with_a_file_of_the_users_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "made"
    writer = start_writer("atomic_directory", path)
    writer.kill()
    writer.communicate()
    (leaving,) = tmp_path.iterdir()
    (leaving / "thesis.txt").write_text("mine")
    with atomic_directory(path):
        pass
    assert (leaving / "thesis.txt").read_text() == "mine"


def test_what_comes_into_the_old_directory_meanwhile_is_kept(tmp_path: Path) -> None:
    def foreign(directory: Path) -> Path | None:
        return next((each for each in directory.iterdir() if each.suffix == ".txt"), None)

    kind = Kind("a test", foreign, "proof")
    path = tmp_path / "made"
    path.mkdir()
    (path / "proof").touch()
    with pytest.raises(OutputError, match=r"thesis\.txt"), atomic_directory(path, kind):
        (path / "thesis.txt").write_text("mine")
    assert sorted(each.name for each in path.iterdir()) == ["proof", "thesis.txt"]
    assert list(tmp_path.iterdir()) == [path]


def test_the_longest_names_are_possible(tmp_path: Path) -> None:
    path = tmp_path / ("é" * 127)
    with atomic_directory(path):
        pass
    with pytest.raises(SystemFailure, match="too long"), atomic_file(tmp_path / ("x" * 256)):
        pass
    assert list(tmp_path.iterdir()) == [path]


def test_the_current_directory_can_be_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "here").mkdir()
    monkeypatch.chdir("here")
    with atomic_directory(Path()) as partial:
        (partial / "new").touch()
    assert [each.name for each in Path().iterdir()] == ["new"]


FULL = """
import resource, sys
from pathlib import Path
from vlmforge.errors import SystemFailure
from vlmforge.formats import atomic

resource.setrlimit(resource.RLIMIT_FSIZE, (1000, resource.RLIM_INFINITY))
try:
    with getattr(atomic, sys.argv[1])(Path(sys.argv[2])) as made:
        if sys.argv[1] == "atomic_file":
            made.write(b"x" * 4000)
        else:
            (made / "a").write_bytes(b"x" * 4000)
except SystemFailure as error:
    print(error)
"""


@pytest.mark.parametrize("kind", ["atomic_file", "atomic_directory"])
def test_a_full_disk_leaves_the_old_one(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "made"
    path.write_text("old") if kind == "atomic_file" else (path / "old").mkdir(parents=True)
    command = [sys.executable, "-c", FULL, kind, str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "larger than is allowed" in done.stdout and str(path) in done.stdout
    assert list(tmp_path.iterdir()) == [path]
    assert path.is_dir() or path.read_text() == "old"


def test_the_mode_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "made"
    path.write_text("old")
    path.chmod(0o640)
    with atomic_file(path) as file:
        file.write(b"new")
    assert path.stat().st_mode & 0o777 == 0o640


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "No space left on device"),
        Exception("No space left on device (os error 28)"),
        Exception("File too large (os error 27)"),
    ],
)
def test_a_full_disk_is_told_whichever_library_meets_it(tmp_path: Path, error: Exception) -> None:
    with pytest.raises(SystemFailure) as caught, writing(tmp_path / "a"):
        raise error
    assert caught.value.where == tmp_path / "a" and caught.value.mend is not None


@pytest.mark.parametrize(
    "error", [OSError(errno.ENOENT, "gone"), Exception("(os error 2)"), ValueError("28")]
)
def test_other_failures_pass(tmp_path: Path, error: Exception) -> None:
    with pytest.raises(type(error)) as caught, writing(tmp_path / "a"):
        raise error
    assert caught.value is error
