"""Lock: one process at a time works in a work directory.

The lock is the system's, so that it ends with its process, however that ends. A note beside it
says who holds it.
"""

from __future__ import annotations

import json
import os
import shlex
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from vlmforge.errors import FormatError, OutputError, SystemFailure
from vlmforge.formats.atomic import atomic_file
from vlmforge.formats.document import Document, parse_object, validate
from vlmforge.formats.kinds import EMPTY, LOCK_FORMAT, LOCK_NOTE
from vlmforge.formats.output import require_replaceable

if TYPE_CHECKING:
    from filelock import BaseFileLock

LOCK, NOTE = "work.lock", "work.json"


class Holder(Document):
    """Who works in a work directory.

    Attributes:
        process: its number.
        host: the name of its computer.
        since: local time it began at, such as ``2026-01-31 23:59:59``.
        command: as a shell reads it.
    """

    format: Literal["vlmforge.lock"]
    process: int
    host: str
    since: str
    command: str

    @staticmethod
    def this() -> Holder:
        """This process."""
        return Holder(
            format=LOCK_FORMAT,
            process=os.getpid(),
            host=socket.gethostname(),
            since=datetime.now().isoformat(" ", "seconds"),
            command=shlex.join(sys.argv),
        )


@contextmanager
def locked(root: Path) -> Iterator[None]:
    """A work directory, made if it is missing, for this process alone.

    Raises:
        OutputError: another process works there, which is named.
        SystemFailure: nothing can be written there.
    """
    require_replaceable(root / LOCK, EMPTY)
    require_replaceable(root / NOTE, LOCK_NOTE)
    was_there = root.is_dir()
    lock = _acquired(root)
    try:
        with atomic_file(root / NOTE) as file:
            file.write((json.dumps(Holder.this().model_dump(), indent=2) + "\n").encode())
        yield
    finally:
        _release(lock, root, was_there)


def holder(root: Path) -> Holder | None:
    """Who says to work in a work directory; None if nobody does."""
    path = root / NOTE
    with suppress(OSError, FormatError):
        return validate(Holder, parse_object(path.read_bytes(), "the note", path), path)
    return None


def _acquired(root: Path) -> BaseFileLock:
    from filelock import FileLock, Timeout  # takes longer to load than most commands to start

    lock = FileLock(root / LOCK, timeout=0, thread_local=False)
    try:
        root.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except Timeout:
        raise _busy(root) from None
    except OSError as error:
        raise SystemFailure.of(error, root) from error
    return lock


def _busy(root: Path) -> OutputError:
    found = holder(root)
    who = "another process"
    if found is not None:
        where = "" if found.host == socket.gethostname() else f" on {found.host}"
        who = f"process {found.process}{where}, since {found.since} (`{found.command}`),"
    return OutputError(
        f"{who} works in the work directory",
        where=root,
        mend="wait until it is done, end it, or name another directory with --work-dir",
    )


def _release(lock: BaseFileLock, root: Path, was_there: bool) -> None:
    """Leave nothing behind, not even the directory if nothing was made in it.

    The lock is deleted while it is held, so that nobody takes a file that is about to go; Windows
    deletes no file that is open, and keeps it.
    """
    with suppress(OSError):
        (root / NOTE).unlink(missing_ok=True)
        (root / LOCK).unlink(missing_ok=True)
    lock.release()
    with suppress(OSError):
        if not was_there:
            root.rmdir()
