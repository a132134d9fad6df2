"""What was found intact before, so that opening a file need not hash gigabytes every time.

A file below :data:`ALWAYS` bytes is hashed every time. A larger one whose tensors matched their
hashes leaves an empty file behind, named after its state: device, inode, size and times of the
last change. The record says that the file matched once and that the file system has told of no
change since. That is no proof: what is written through a mapping that was made before, or to the
disk below the file system, may show in the times late or never. The record is in
``VLMFORGE_CACHE``, by default ``~/.cache/vlmforge``; without it every file is hashed.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from vlmforge.formats.tensor_file import FileState, TensorFile

ALWAYS = 64_000_000
"""Bytes up to which hashing takes less time than anybody notices."""

SETTLED = 2.0
"""Seconds after a change in which another one might leave the same times."""


def first_altered(file: TensorFile, digests: Mapping[str, str]) -> str | None:
    """The name of the first tensor that does not match its SHA-256, None if all do.

    Of a large file that matched before, see above, None is said without looking.
    """
    record = _record_of(file.state) if file.state.size >= ALWAYS else None
    if record is not None and _is_there(record):
        return None
    for name, digest in file.sha256().items():
        if digest != digests[name]:
            return name
    if record is not None and _is_unchanged(file) and is_settled(file.state):
        with suppress(OSError):
            record.parent.mkdir(parents=True, exist_ok=True)
            record.touch()
    return None


def _record_of(state: FileState) -> Path | None:
    name = hashlib.sha256(" ".join(map(str, state)).encode()).hexdigest()
    try:
        root = os.environ.get("VLMFORGE_CACHE") or Path.home() / ".cache" / "vlmforge"
        return Path(root) / "intact" / name
    except RuntimeError:  # there is no home directory
        return None


def _is_there(record: Path) -> bool:
    """Whether there is a record; where none can be looked for, there is none."""
    try:
        return record.exists()
    except OSError:
        return False


def is_settled(state: FileState) -> bool:
    """Whether a file would change this state if it changed."""
    return time.time() - max(state.mtime_ns, state.ctime_ns) / 1e9 > SETTLED


def _is_unchanged(file: TensorFile) -> bool:
    """Whether the file is still as it was mapped."""
    try:
        return FileState.of(file.path.stat()) == file.state
    except OSError:
        return False
