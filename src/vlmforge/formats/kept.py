"""Kept pieces: what an interrupted step has got already, a file each, in a folder of its own.

Each says by a digest what it follows from; one with another digest is made again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import fields, is_dataclass
from pathlib import Path

import numpy as np

from vlmforge.formats.stage import PATTERN, Stage, clear

SUFFIX = ".kept"


class Digest:
    """SHA-256 of numbers, texts, arrays, dataclasses, and of sequences and mappings of these.

    No two sequences of values give the same.
    """

    def __init__(self, *values: object) -> None:
        self._sum = hashlib.sha256()
        self.add(*values)

    def add(self, *values: object) -> None:
        """Add values, in their order; raises TypeError of what is none of these."""
        for value in values:
            self._add(value)

    def copy(self) -> Digest:
        """Another one, which goes on from here."""
        other = Digest()
        other._sum = self._sum.copy()
        return other

    def hex(self) -> str:
        """64 digits."""
        return self._sum.hexdigest()

    def _add(self, value: object) -> None:
        if isinstance(value, np.ndarray):
            self._sum.update(f"array {value.dtype} {value.shape}\n".encode())
            self._sum.update(np.ascontiguousarray(value).reshape(-1).view(np.uint8).data)
        elif isinstance(value, Mapping):
            self._sum.update(f"mapping {len(value)}\n".encode())
            for key, each in value.items():
                self.add(key, each)
        elif isinstance(value, Sequence) and not isinstance(value, (str, bytes)):
            self._sum.update(f"sequence {len(value)}\n".encode())
            self.add(*value)
        elif is_dataclass(value) and not isinstance(value, type):
            self._add({field.name: getattr(value, field.name) for field in fields(value)})
        elif value is None or isinstance(value, (bool, int, float, str)):
            text = repr(value)
            self._sum.update(f"{type(value).__name__} {len(text)}\n{text}".encode())
        else:
            raise TypeError(f"a {type(value).__name__} has no digest")


def clear_kept(folder: Path) -> None:
    """Delete the pieces in a folder, and the folder and its parent where nothing else is.

    What killed writers left of pieces goes, too.
    """
    for path in folder.glob(f"*{SUFFIX}"):
        path.unlink()
    for path in folder.glob(f"*{SUFFIX}{PATTERN}"):
        clear(Stage(path), path.with_name(path.name.rpartition(".")[0]))
    for place in (folder, folder.parent):
        with suppress(OSError):
            place.rmdir()
