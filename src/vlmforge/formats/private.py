"""Directories that nobody else can write to, though they lie below a shared one like ``/tmp``."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from vlmforge.errors import RotationError


def private_directory(path: str | Path) -> Path:
    """Create (mode 0700) or check a directory only this user can read and write.

    Raises:
        RotationError: it is a symbolic link or no directory, belongs to somebody else, is open
            to group or others, or lies where another user could exchange it.
    """
    path = Path(path).absolute()
    for ancestor in reversed(path.parents):
        _make(ancestor)
        _require_unexchangeable(ancestor)
    _make(path)
    facts = path.lstat()
    _require(stat.S_ISDIR(facts.st_mode), path, "is not a directory (symbolic links are refused)")
    _require(facts.st_uid == os.getuid(), path, "belongs to another user")
    _require(not facts.st_mode & 0o077, path, "is open to other users")
    return path


def _make(path: Path) -> None:
    try:
        path.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        if not os.path.lexists(path):
            _require(False, path, f"cannot be created: {error.strerror}")


def _require_unexchangeable(path: Path) -> None:
    """Only this user or root can rename what lies in the directory."""
    facts = path.lstat()
    _require(facts.st_uid in (0, os.getuid()), path, "belongs to another user")
    if stat.S_ISLNK(facts.st_mode):
        return
    shared = facts.st_mode & stat.S_IWOTH and not facts.st_mode & stat.S_ISVTX
    _require(not shared, path, "can be written by every user")


def _require(holds: bool, path: Path, what: str) -> None:
    if not holds:
        raise RotationError(
            f"the directory for rotations is not private: {path.name or path} {what}",
            where=path,
            mend=f"choose another directory, or make this one yours alone: chmod 700 {path}",
        )
