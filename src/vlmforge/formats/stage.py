"""Stage: the directory beside an output in which it is made, and which proves whose it is.

A stage holds a note, which its writer keeps locked, and what is being made. A writer that was
killed cannot clear up; the next one for the same place finds the note unlocked and does. What
carries no such note is somebody else's and is left alone, whatever its name. A note is unlocked
before it is deleted, as Windows deletes no file that is open.
"""

from __future__ import annotations

import glob
import os
import secrets
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from vlmforge.errors import SystemFailure
from vlmforge.formats.kind import Kind
from vlmforge.formats.owner import is_own

if TYPE_CHECKING:
    from filelock import BaseFileLock

NOTE = "vlmforge-temporary.txt"
TEXT = b"vlmforge is writing here, or was interrupted. Its next command for this place clears up.\n"
PATTERN = ".partial-" + "[0-9a-f]" * 8
LONGEST = 200
"""Bytes of the output's name that a stage repeats, as names end at 255."""

ATTEMPTS = 8
"""A new stage may be taken for a leaving, and cleared, before it is locked."""


@dataclass(frozen=True)
class Stage:
    """Where an output is made: ``new`` takes its place, ``old`` is what had it meanwhile."""

    path: Path

    @property
    def new(self) -> Path:
        return self.path / "new"

    @property
    def old(self) -> Path:
        return self.path / "old"

    @property
    def note(self) -> Path:
        return self.path / NOTE

    def empty(self) -> None:
        """Delete all of it but the note, which proves until then whose the rest is."""
        for part in (self.new, self.old):
            if part.is_dir() and not part.is_symlink():
                shutil.rmtree(part)
            else:
                part.unlink(missing_ok=True)

    def remove(self) -> None:
        """Delete the note and the stage, once it is empty."""
        self.note.unlink(missing_ok=True)
        self.path.rmdir()

    def is_ours(self) -> bool:
        """Whether it is a directory of this user's with the note, and nothing unknown in it."""
        facts = self.path.lstat()
        if not stat.S_ISDIR(facts.st_mode) or not is_own(facts):
            return False
        names = {entry.name for entry in self.path.iterdir()}
        if not names:
            return True
        if not {NOTE} <= names <= {NOTE, self.new.name, self.old.name}:
            return False
        # A writer may have been killed before it wrote its note.
        return self.note.is_file() and self.note.read_bytes() in (b"", TEXT)


@contextmanager
def open_stage(path: Path, kind: Kind | None = None) -> Iterator[Stage]:
    """A stage for an output, once the leavings of killed writers are cleared away.

    Raises:
        SystemFailure: nothing can be written there.
    """
    try:
        with suppress(FileNotFoundError):
            path.lstat()  # a name that is too long is found before any work
        path.parent.mkdir(parents=True, exist_ok=True)
        for stage in stages(path):
            clear(stage, path, kind)
        stage, lock = _new_stage(path)
    except OSError as error:
        raise SystemFailure.of(error, path) from error
    try:
        yield stage
    finally:
        with suppress(OSError):
            try:
                stage.empty()
            finally:
                lock.release()
            stage.remove()


def stages(path: Path) -> list[Stage]:
    """What is named like a stage of an output."""
    pattern = glob.escape(_prefix(path)) + PATTERN
    return [Stage(found) for found in sorted(path.parent.glob(pattern))]


def clear(stage: Stage, path: Path, kind: Kind | None = None) -> None:
    """Delete a stage that its writer left behind; the output it had moved away comes back."""
    with suppress(OSError):
        if not stage.is_ours():
            return
        if stage.note.exists() and not _emptied(stage, path, kind):
            return
        stage.remove()


def _emptied(stage: Stage, path: Path, kind: Kind | None) -> bool:
    """Whether all but the note is gone; raises TimeoutError while somebody writes there."""
    with _lock(stage):
        if os.path.lexists(stage.old) and not os.path.lexists(path):
            stage.old.rename(path)
        held = [part for part in (stage.new, stage.old) if part.is_dir()]
        if kind is not None and not all(kind.may_be_cleared(part) for part in held):
            return False
        stage.empty()
        return True


def _prefix(path: Path) -> str:
    return os.fsdecode(os.fsencode(path.name)[:LONGEST])


def _new_stage(path: Path) -> tuple[Stage, BaseFileLock]:
    """A stage and the lock of its note."""
    for _ in range(ATTEMPTS):
        stage = Stage(path.with_name(f"{_prefix(path)}.partial-{secrets.token_hex(4)}"))
        with suppress(FileExistsError, FileNotFoundError, TimeoutError):
            stage.path.mkdir()
            return stage, _locked_note(stage)
    raise FileExistsError(f"no new directory can be kept beside {path}")


def _locked_note(stage: Stage) -> BaseFileLock:
    descriptor = os.open(stage.note, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        os.write(descriptor, TEXT)
    finally:
        os.close(descriptor)
    lock = _lock(stage)
    lock.acquire()
    return lock


def _lock(stage: Stage) -> BaseFileLock:
    """The lock of a note, not held yet; nobody waits for it."""
    from filelock import FileLock  # takes longer to load than most commands to start

    return FileLock(stage.note, timeout=0, thread_local=False)
