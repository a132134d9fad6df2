"""Outputs: whether the paths users name can be written, and hold nothing of theirs.

:func:`require_replaceable` is what every command asks before it begins.
"""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

from vlmforge.errors import OutputError, SystemFailure
from vlmforge.formats.atomic import real_path
from vlmforge.formats.kind import Kind


def require_replaceable(path: str | os.PathLike[str], kind: Kind) -> Path:
    """Check that an output can be made at a path, and replaces nothing but what this project made.

    Only what is provably of the kind is replaceable: see :mod:`vlmforge.formats.kinds`.

    Args:
        path: as the user gave it; ``~`` is expanded and links are followed.
        kind: of the output; one with a proof is a directory.

    Returns:
        The absolute path; a link that stands there remains one.

    Raises:
        OutputError: it is of the wrong sort: a file for a directory, a device, a mount point.
        SystemFailure: it cannot be written: no permission, a name too long, links in a circle.
        VlmforgeError: the kind's own error; it holds something else, which is named.
    """
    named = expanded(path)
    target = real_path(named)
    facts = _facts(target)
    if facts is None:
        _require_writable(existing_parent(target), named)
        return named
    _require_sort(facts, target, named, kind)
    found = kind.foreign(target)
    if found is not None:
        raise kind.refusal(named, found)
    _require_writable(target if kind.proof == "" else target.parent, named)
    return named


def require_apart(out: Path, work_dir: Path) -> None:
    """Check that the directory between lies outside the output, which is replaced as a whole.

    Raises:
        OutputError: it is the output, or lies in it.
    """
    target, between = real_path(out), real_path(work_dir)
    if target == between or target in between.parents:
        raise OutputError(
            "the work directory lies in the output directory, which is replaced as a whole",
            where=work_dir,
            mend=f"name another, such as --work-dir {out}.work",
        )


def expanded(path: str | os.PathLike[str]) -> Path:
    """The absolute path, ``~`` and ``~user`` expanded; raises :class:`OutputError`."""
    try:
        return Path(path).expanduser().absolute()
    except RuntimeError as error:
        raise OutputError(
            "the path begins with a user who does not exist", where=path,
            mend="write the whole path, or ./~name for a name that begins with ~",
        ) from error  # fmt: skip


def _facts(target: Path) -> os.stat_result | None:
    try:
        return target.lstat()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise SystemFailure.of(error) from error


def _require_sort(facts: os.stat_result, target: Path, named: Path, kind: Kind) -> None:
    """The right one of directory and plain file, and one that can be exchanged."""
    if kind.proof is not None:
        if not stat.S_ISDIR(facts.st_mode):
            raise OutputError(
                "a file stands where the output directory is wanted",
                where=named,
                mend="name a new directory",
            )
        if kind.proof and target.is_mount():
            raise OutputError(
                "the output directory is a disk of its own, which cannot be exchanged",
                where=named,
                mend=f"name a directory inside it, such as {named / 'package'}",
            )
    elif stat.S_ISDIR(facts.st_mode):
        raise SystemFailure.of(OSError(errno.EISDIR, "", str(named)))
    elif not stat.S_ISREG(facts.st_mode):
        raise OutputError("the output is no plain file", where=named, mend="name a file")


def existing_parent(target: Path) -> Path:
    """The directory of an absolute path, or of its parents, that is there already.

    Raises:
        SystemFailure: a file stands where a directory is wanted.
    """
    for parent in target.parents:
        facts = _facts(parent)
        if facts is None:
            continue
        if not stat.S_ISDIR(facts.st_mode):
            raise SystemFailure.of(OSError(errno.ENOTDIR, "", str(parent)))
        return parent
    return Path(target.anchor)


def _require_writable(directory: Path, named: Path) -> None:
    if os.access(directory, os.W_OK | os.X_OK):
        return
    number = errno.EROFS if _is_read_only(directory) else errno.EACCES
    raise SystemFailure.of(OSError(number, "", str(named)))


def _is_read_only(directory: Path) -> bool:
    """Whether the file system is, where the system tells."""
    facts = getattr(os, "statvfs", None)
    return facts is not None and bool(facts(directory).f_flag & os.ST_RDONLY)
