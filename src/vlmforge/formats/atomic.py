"""Writes that leave either the old file or directory, or the whole new one.

What is written stands beside its place until it is whole, locked by its writer. A writer that
was killed cannot clear up; the next one for the same place finds its leavings unlocked and does.
"""

from __future__ import annotations

import fcntl
import glob
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

PARTIAL, OLD = "partial", "old"


@contextmanager
def atomic_file(path: Path) -> Iterator[BinaryIO]:
    """A binary file that takes ``path``'s place when the block ends without an exception.

    The parent directory is created. The new file is on disk before it gets its name.
    """
    partial = _prepare(path)
    try:
        with partial.open("xb") as file, _locked(partial):
            yield file
            file.flush()
            os.fsync(file.fileno())
            partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


@contextmanager
def atomic_directory(path: Path) -> Iterator[Path]:
    """An empty directory that takes ``path``'s place when the block ends without an exception."""
    partial = _prepare(path)
    partial.mkdir()
    try:
        with _locked(partial):
            yield partial
            _swap(partial, path)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _swap(new: Path, path: Path) -> None:
    if not path.exists():
        new.rename(path)
        return
    old = _beside(path, OLD)
    path.rename(old)
    try:
        new.rename(path)
    except BaseException:
        old.rename(path)
        raise
    shutil.rmtree(old)


def _prepare(path: Path) -> Path:
    """A name for what will take ``path``'s place; leavings of killed writers are cleared away."""
    path.parent.mkdir(parents=True, exist_ok=True)
    for old in _leavings(path, OLD):
        if not path.exists():
            old.rename(path)
    for leaving in (*_leavings(path, OLD), *_leavings(path, PARTIAL)):
        if _is_unlocked(leaving):
            shutil.rmtree(leaving) if leaving.is_dir() else leaving.unlink(missing_ok=True)
    return _beside(path, PARTIAL)


def _beside(path: Path, kind: str) -> Path:
    return path.with_name(f"{path.name}.{kind}-{secrets.token_hex(4)}")


def _leavings(path: Path, kind: str) -> list[Path]:
    return sorted(path.parent.glob(f"{glob.escape(path.name)}.{kind}-" + "[0-9a-f]" * 8))


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """A file or directory locked by this process, until the block or the process ends."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        yield
    finally:
        os.close(descriptor)


def _is_unlocked(path: Path) -> bool:
    """Whether nobody writes at ``path`` any more; False too if it is gone."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    finally:
        os.close(descriptor)
    return True
