"""Writes that leave either the old file or directory, or the whole new one.

What is written stands beside its place until it is whole. Links are followed: a link stays a link,
and what it leads to is replaced. A full disk is an error that says so.
"""

from __future__ import annotations

import errno
import logging
import os
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from vlmforge.errors import SystemFailure, VlmforgeError
from vlmforge.formats.exchange import exchange
from vlmforge.formats.kind import Kind
from vlmforge.formats.stage import Stage, clear, open_stage, stages

logger = logging.getLogger(__name__)

REFUSED = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS}
"""Errors that only writing meets."""

RUST = re.compile(r"\(os error (\d{1,4})\)$")
"""How Rust ends what it says of an error of the system."""


@contextmanager
def atomic_file(path: Path) -> Iterator[BinaryIO]:
    """A binary file that takes ``path``'s place when the block ends without an exception.

    The parent directory is created. The new file is on disk before it gets its name.

    Raises:
        SystemFailure: the disk is full, or the file cannot be written for another reason.
    """
    target = real_path(path)
    with writing(path), open_stage(target) as stage:
        with stage.new.open("xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        _keep_mode(target, stage.new)
        stage.new.replace(target)


@contextmanager
def atomic_directory(path: Path, kind: Kind | None = None) -> Iterator[Path]:
    """An empty directory that takes ``path``'s place when the block ends without an exception.

    Args:
        path: created, or replaced as a whole.
        kind: of the directory; an old one that holds anything else by then stays as it is.

    Raises:
        SystemFailure: the disk is full, or the directory cannot be written for another reason.
    """
    target = real_path(path)
    with writing(path), open_stage(target, kind) as stage:
        stage.new.mkdir()
        yield stage.new
        _swap(stage, target, kind)


def restore(path: Path) -> None:
    """Bring back a directory whose writer was killed after it had moved it out of the way.

    That happens only where names cannot be exchanged in one step.
    """
    target = real_path(path)
    for stage in stages(target):
        if os.path.lexists(stage.old) and not os.path.lexists(target):
            clear(stage, target)


def real_path(path: Path) -> Path:
    """Where a path leads, absolute, all links followed; raises :class:`SystemFailure`."""
    try:
        return path.resolve()
    except (OSError, RuntimeError) as error:  # RuntimeError: links in a circle
        circle = OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(path))
        raise SystemFailure.of(error if isinstance(error, OSError) else circle) from error


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Says that ``path`` could not be written, where the block fails for want of space.

    Libraries written in Rust raise a plain exception that ends with the number of the error.
    """
    try:
        yield
    except Exception as error:
        number = error.errno if isinstance(error, OSError) else _told_number(error)
        if number not in REFUSED:
            raise
        raise SystemFailure.of(OSError(number, os.strerror(number)), path) from error


def _told_number(error: Exception) -> int | None:
    found = None if isinstance(error, VlmforgeError) else RUST.search(str(error))
    return None if found is None else int(found[1])


def _swap(stage: Stage, path: Path, kind: Kind | None) -> None:
    """Give the new directory its name; at no moment is there neither, where the system can."""
    _keep_mode(path, stage.new)
    here = _is_here(path)
    if not path.exists() or not any(path.iterdir()):
        _take(stage.new, path)
    elif exchange(stage.new, path):
        if (found := _foreign(stage.new, kind)) is not None:
            exchange(stage.new, path)
            raise _refusal(path, found, kind)
    else:
        _move_aside(stage, path, kind)
    if here:
        os.chdir(path)
        logger.warning("The current directory was replaced as a whole: run `cd .` to see it.")


def _take(new: Path, path: Path) -> None:
    """Give a directory a name that nothing, or an empty one, has."""
    try:
        new.rename(path)
    except FileExistsError:  # Windows gives no name away, not even that of an empty directory
        path.rmdir()
        new.rename(path)


def _move_aside(stage: Stage, path: Path, kind: Kind | None) -> None:
    """The swap in two steps; :func:`restore` goes back after the first."""
    path.rename(stage.old)
    try:
        if (found := _foreign(stage.old, kind)) is not None:
            raise _refusal(path, found, kind)
        stage.new.rename(path)
    except BaseException:
        stage.old.rename(path)
        raise


def _foreign(directory: Path, kind: Kind | None) -> Path | None:
    return None if kind is None else kind.foreign(directory)


def _refusal(path: Path, found: Path, kind: Kind | None) -> VlmforgeError:
    assert kind is not None
    return kind.refusal(path, found)


def _keep_mode(old: Path, new: Path) -> None:
    """Let who could read or write the old one do so with the new one."""
    with suppress(OSError):
        new.chmod(stat.S_IMODE(old.stat().st_mode) | stat.S_IRWXU & new.stat().st_mode)


def _is_here(path: Path) -> bool:
    with suppress(OSError):
        return path.samefile(os.curdir)
    return False
