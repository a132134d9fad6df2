"""Fingerprints of what stands at a path, to tell whether it is still what was made there."""

from __future__ import annotations

import hashlib
from pathlib import Path

from vlmforge.errors import FormatError
from vlmforge.formats.container import Container

CONTAINERS = (".mblt", ".mxq", ".infer")

CHUNK = 1 << 24
"""Bytes hashed at a time."""


def fingerprint(path: Path) -> str | None:
    """SHA-256 in hex of a file, or of a directory's names and files; None where nothing is whole.

    A container is told by its header, which holds the hashes of its tensors, once these match.
    """
    try:
        if path.is_dir():
            return _of_directory(path)
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


def _of_directory(path: Path) -> str:
    digest = hashlib.sha256()
    for file in sorted(entry for entry in path.rglob("*") if entry.is_file()):
        digest.update(f"{file.relative_to(path).as_posix()}\0{fingerprint(file)}\n".encode())
    return digest.hexdigest()
