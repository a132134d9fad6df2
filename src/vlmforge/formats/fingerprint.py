"""Fingerprints of what stands at a path, to tell whether it is still what was made there."""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path

from vlmforge.errors import FormatError
from vlmforge.formats.container import Container
from vlmforge.formats.intact import is_settled
from vlmforge.formats.tensor_file import FileState

CONTAINERS = (".mblt", ".mxq", ".infer")

CHUNK = 1 << 24
"""Bytes hashed at a time."""


def fingerprint(path: Path, without: Collection[str] = ()) -> str | None:
    """SHA-256 in hex of a file, or of a directory's names and files; None where nothing is whole.

    A container is told by its header, which holds the hashes of its tensors, once these match.

    Args:
        path: of the file or directory.
        without: names of files in the directory that do not count.
    """
    try:
        if path.is_dir():
            return _of_directory(path, without)
        if path.suffix in CONTAINERS:
            return Container.open(path, path.suffix[1:]).file.metadata["header_sha256"]
        return _of_file(path)
    except (FormatError, FileNotFoundError, NotADirectoryError):
        return None


def _of_file(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def _of_directory(path: Path, without: Collection[str]) -> str:
    digest = hashlib.sha256()
    for name, file in _files(path).items():
        if name not in without:
            digest.update(f"{name}\0{fingerprint(file)}\n".encode())
    return digest.hexdigest()


def _files(path: Path) -> dict[str, Path]:
    """The files below a directory, in the order of their paths, by their names in it."""
    found = sorted(entry for entry in path.rglob("*") if entry.is_file())
    return {file.relative_to(path).as_posix(): file for file in found}


class Fingerprints:
    """Fingerprints, each computed once as long as nothing tells of a change since."""

    def __init__(self) -> None:
        self._known: dict[Path, tuple[_States, str | None]] = {}

    def of(self, path: Path, without: Collection[str] = ()) -> str | None:
        """See :func:`fingerprint`; ``without`` is always the same for a path."""
        states = _states(path)
        known = self._known.get(path)
        if known is not None and known[0] == states:
            return known[1]
        found = fingerprint(path, without)
        if all(is_settled(each) for each in states.values()):
            self._known[path] = states, found
        return found


_States = dict[str, FileState]


def _states(path: Path) -> _States:
    """The states of a file, or of those of a directory, by their names in it."""
    with suppress(FileNotFoundError):
        files = _files(path) if path.is_dir() else {"": path}
        return {name: FileState.of(file.stat()) for name, file in files.items()}
    return {}
