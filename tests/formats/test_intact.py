"""What was found intact is not hashed again, and what changed since is."""

from __future__ import annotations

import mmap
import os
from pathlib import Path

import numpy as np
import pytest

from vlmforge.errors import FormatError
from vlmforge.formats import intact
from vlmforge.formats.container import Container, ContainerWriter
from vlmforge.formats.tensor_file import TensorFile


@pytest.fixture
def hashed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[Path]:
    """The files hashed so far, with an empty record and nothing too small or fresh for it."""
    found: list[Path] = []
    original = TensorFile.sha256

    def sha256(file: TensorFile) -> dict[str, str]:
        found.append(file.path)
        return original(file)

    monkeypatch.setattr(TensorFile, "sha256", sha256)
    monkeypatch.setenv("VLMFORGE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(intact, "SETTLED", -1.0)
    monkeypatch.setattr(intact, "ALWAYS", 0)
    return found


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "a.mxq"
    with ContainerWriter(path, "mxq") as writer:
        writer.add("weight", np.arange(128, dtype=np.int8))
        writer.finish({})
    return path


def alter(path: Path) -> None:
    """Change the last byte, and only the time of the last change of anything."""
    times = path.stat().st_atime_ns, path.stat().st_mtime_ns
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    os.utime(path, ns=times)


def test_once(hashed: list[Path], file: Path) -> None:
    for _ in range(3):
        Container.open(file, "mxq")
    assert hashed == [file]


def test_where_no_record_can_be_looked_for(
    hashed: list[Path], file: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """As in the home directory of another user."""
    monkeypatch.setenv("VLMFORGE_CACHE", str(tmp_path / ("x" * 300)))
    for _ in range(2):
        Container.open(file, "mxq")
    assert hashed == [file, file]


def test_again_after_a_change(hashed: list[Path], file: Path) -> None:
    Container.open(file, "mxq")
    alter(file)
    for _ in range(2):
        with pytest.raises(FormatError, match="altered"):
            Container.open(file, "mxq")
    assert len(hashed) == 3


def test_a_copy_is_another_file(hashed: list[Path], file: Path, tmp_path: Path) -> None:
    Container.open(file, "mxq")
    copy = tmp_path / "b.mxq"
    copy.write_bytes(file.read_bytes())
    Container.open(copy, "mxq")
    assert hashed == [file, copy]


def test_fresh_files_are_not_recorded(
    hashed: list[Path], file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(intact, "SETTLED", 1000.0)
    for _ in range(2):
        Container.open(file, "mxq")
    assert len(hashed) == 2


@pytest.mark.parametrize("place", [os.devnull, "/proc/none"])
def test_without_a_place_for_the_record(
    hashed: list[Path], file: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    monkeypatch.setenv("VLMFORGE_CACHE", place)
    for _ in range(2):
        Container.open(file, "mxq")
    assert len(hashed) == 2


def test_small_files_are_always_hashed(
    hashed: list[Path], file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Container.open(file, "mxq")
    monkeypatch.setattr(intact, "ALWAYS", file.stat().st_size + 1)
    for _ in range(2):
        Container.open(file, "mxq")
    assert len(hashed) == 3
    monkeypatch.setattr(intact, "ALWAYS", file.stat().st_size)
    Container.open(file, "mxq")
    assert len(hashed) == 3


def test_a_byte_written_through_a_kept_mapping_is_found(file: Path) -> None:
    with file.open("r+b") as opened, mmap.mmap(opened.fileno(), 0) as kept:
        Container.open(file, "mxq")
        kept[len(kept) - 1] ^= 1
        with pytest.raises(FormatError, match="altered"):
            Container.open(file, "mxq")
