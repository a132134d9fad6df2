"""Slots: the sequences that a model holds keys and values of, each by its number."""

from __future__ import annotations

import io
import zipfile
from dataclasses import dataclass, field

import numpy as np

from vlmforge.errors import RunError
from vlmforge.images.grid import Grid
from vlmforge.machine.machine import Cache, Machine
from vlmforge.prompt.spans import Span

SLOTS = 16
"""Of a model, each as long as the program's cache; they take memory when they are first used."""

OTHER = "load what a model of the same package has dumped"


@dataclass
class Slot:
    """A sequence.

    Attributes:
        cache: its keys and values.
        spans: the images among its rows, as far as rows say; of the last a part may be missing.
    """

    cache: Cache
    spans: list[Span] = field(default_factory=list)

    @property
    def begun(self) -> Span | None:
        """The image that the last rows are a part of, None where they are whole."""
        last = self.spans[-1] if self.spans else None
        return last if last is not None and last.stop > self.cache.length else None

    def truncate(self, length: int) -> None:
        """Forget all but the first rows.

        Raises:
            RunError: there are not so many.
        """
        if not 0 <= length <= self.cache.length:
            raise RunError(
                f"the slot holds {self.cache.length} rows, so nothing goes on behind {length}",
                mend="run the rows before, or load them; keys and values are not made up",
            )
        self.cache.truncate(length)
        self.spans = [span for span in self.spans if span.start < length]


class Slots:
    """All slots of a model.

    Args:
        machine: of the text program.
        fingerprint: of the package.
    """

    def __init__(self, machine: Machine, fingerprint: str) -> None:
        self._machine, self._fingerprint = machine, fingerprint
        self._capacity = int(machine.program.meta["cache_length"])
        self._slots: dict[int, Slot] = {}

    def __getitem__(self, number: int) -> Slot:
        """The slot of a number; RunError if there is none."""
        if not 0 <= number < SLOTS:
            raise RunError(f"there is no slot {number}", mend=f"choose one from 0 to {SLOTS - 1}")
        if number not in self._slots:
            self._slots[number] = Slot(self._machine.new_cache(self._capacity))
        return self._slots[number]

    def dump(self, number: int) -> bytes:
        """All of a slot, as a NumPy archive."""
        slot, archive = self[number], io.BytesIO()
        records = [(span.start, span.key, *span.grid[:3]) for span in slot.spans]
        np.savez(
            archive,
            package=np.array(self._fingerprint),
            rows=slot.cache.read(0, slot.cache.length),
            spans=np.array(records, np.int64).reshape(-1, 5),
        )
        return archive.getvalue()

    def load(self, number: int, dumped: bytes) -> None:
        """Let a slot hold what :meth:`dump` gave.

        Raises:
            RunError: it gave something else, or that of another package; the slot is as before.
        """
        try:
            with np.load(io.BytesIO(dumped), allow_pickle=False) as archive:
                package, rows, spans = (archive[name] for name in ("package", "rows", "spans"))
            found = [Span(start, key, Grid(*grid)) for start, key, *grid in spans.tolist()]
        except (ValueError, KeyError, OSError, EOFError, TypeError, zipfile.BadZipFile) as error:
            raise RunError("the bytes are no dump of a slot", mend=OTHER) from error
        if not _ascend(found, len(rows)):
            raise RunError("the dump has images that cannot be in it", mend=OTHER)
        if str(package) != self._fingerprint:
            raise RunError("the dump is of another package", mend=OTHER)
        slot = Slot(self._machine.new_cache(self._capacity), found)
        slot.cache.append(rows)
        self._slots[number] = slot


def _ascend(spans: list[Span], rows: int) -> bool:
    """Whether images begin one behind the other among so many rows."""
    at = 0
    for span in spans:
        if not at <= span.start < rows or min(span.grid[:3]) < 1:
            return False
        at = span.stop
    return True
