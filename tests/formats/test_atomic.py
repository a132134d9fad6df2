"""Interrupted writes leave the old file or directory."""

from __future__ import annotations

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
