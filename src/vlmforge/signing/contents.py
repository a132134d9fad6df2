"""Contents: what lies in a package's directory, and how it differs from what was signed."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

from vlmforge.errors import SignatureError, SystemFailure
from vlmforge.signing.statement import UNSIGNED

CHUNK = 1 << 20
"""Bytes read at once."""


def signed_files(directory: Path, within: Path | None = None) -> dict[str, Path]:
    """The files that a signature has to be of, by their names.

    Args:
        directory: the package.
        within: the directory that links may lead into; that of the package by default.

    Raises:
        SignatureError: an entry is no file, or a link that leads outside.
    """
    try:
        entries = sorted(each for each in directory.iterdir() if each.name not in UNSIGNED)
    except OSError as error:
        raise SystemFailure.of(error, directory) from error
    for entry in entries:
        require_file(entry, (within or directory).resolve())
    return {entry.name: entry for entry in entries}


def digest(path: Path) -> str:
    """SHA-256 of a file, in hex."""
    hasher = hashlib.sha256()
    try:
        with path.open("rb") as file:
            while chunk := file.read(CHUNK):
                hasher.update(chunk)
    except OSError as error:
        raise SystemFailure.of(error, path) from error
    return hasher.hexdigest()


def differences(files: Mapping[str, Path], signed: Mapping[str, str]) -> list[str]:
    """What is missing, what was added, and, where that is nothing, what was altered."""
    missing, added = sorted(signed.keys() - files.keys()), sorted(files.keys() - signed.keys())
    if missing or added:
        found = {"missing": missing, "added": added}
    else:
        found = {"altered": [n for n, path in files.items() if digest(path) != signed[n]]}
    return [f"{', '.join(map(repr, names))} {how}" for how, names in found.items() if names]


def require_file(entry: Path, within: Path) -> None:
    """Require that an entry is a file, or leads to one; ``within`` is a real path.

    Raises:
        SignatureError: it is none, or leads outside.
    """
    try:
        target = entry.resolve(strict=True)
    except (OSError, RuntimeError) as error:  # RuntimeError: links in a circle
        raise SignatureError(
            f"{entry.name!r} is a link that leads nowhere", where=entry, mend="delete it"
        ) from error
    if not target.is_relative_to(within):
        what = f"{entry.name!r} is a link that leads out of the package"
        raise SignatureError(what, where=entry, mend="put a copy of the file in its place")
    if not target.is_file():
        what = f"{entry.name!r} is no file, and a signed package holds files alone"
        raise SignatureError(what, where=entry, mend="move it out of the package's directory")
