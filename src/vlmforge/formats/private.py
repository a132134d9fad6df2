"""Directories that nobody else can write to, though they lie below a shared one like ``/tmp``.

Windows has access control lists instead of owners and modes. They are not looked at, and a warning
says so.
"""

from __future__ import annotations

import logging
import os
import stat
from pathlib import Path

from vlmforge.errors import RotationError
from vlmforge.formats.owner import is_own, user

logger = logging.getLogger(__name__)

MAX_LINKS = 40
"""Symbolic links followed on the way to a directory, as many as Linux follows."""

ROOT = 0
"""The number of the user who may do everything anyway."""


def private_directory(path: str | Path) -> Path:
    """Create (mode 0700) or check a directory only this user can read and write.

    Raises:
        RotationError: it is a symbolic link or no directory, belongs to somebody else, is open
            to group or others, or lies where another user could exchange it or a link to it.
    """
    path = Path(path).absolute()
    parent = _require_unexchangeable(path.parent)
    own = parent / path.name
    _make(own)
    facts = own.lstat()
    _require(stat.S_ISDIR(facts.st_mode), path, "is not a directory (symbolic links are refused)")
    if user() is None:
        logger.warning("Who else can write to %s is not known on this system.", path)
        return path
    _require(is_own(facts), path, "belongs to another user")
    _require(not facts.st_mode & 0o077, path, "is open to other users", f"chmod 700 {path}")
    return path


def _make(path: Path) -> None:
    try:
        path.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        if not os.path.lexists(path):
            _require(False, path, f"cannot be created: {error.strerror}")


def _require_unexchangeable(path: Path) -> Path:
    """Create the directory; only this user or root can rename what lies on the way to it.

    Returns:
        The directory itself, where every symbolic link leads.
    """
    todo, at, links = [*reversed(path.parts[1:])], Path(path.anchor), 0
    _require_own(at)
    while todo:
        part = todo.pop()
        at = at.parent if part == ".." else at / part
        _make(at)
        _require_own(at)
        if at.is_symlink():
            links += 1
            _require(links <= MAX_LINKS, path, "is behind too many symbolic links")
            target = at.readlink()
            todo += reversed(target.parts[bool(target.anchor) :])
            at = Path(target.anchor) if target.anchor else at.parent
    return at


def _require_own(path: Path) -> None:
    facts = path.lstat()
    _require(is_own(facts, or_of=ROOT), path, "belongs to another user")
    if stat.S_ISLNK(facts.st_mode) or user() is None:
        return
    for bit, whose in ((stat.S_IWOTH, "every user"), (stat.S_IWGRP, "its group")):
        shared = facts.st_mode & bit and not facts.st_mode & stat.S_ISVTX
        _require(not shared, path, f"can be written by {whose}", f"chmod go-w {path}")


def _require(holds: bool, path: Path, what: str, command: str | None = None) -> None:
    if not holds:
        raise RotationError(
            f"the directory for rotations is not private: {path.name or path} {what}",
            where=path,
            mend="choose another directory"
            + (f", or make this one safe: {command}" if command else ""),
        )
