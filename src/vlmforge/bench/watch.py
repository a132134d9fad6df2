"""Memory: what this process has of its own, watched while it works."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Event, Thread

from vlmforge.bench.memory import private_resident

PERIOD = 0.25
"""Seconds between two looks; what comes and goes between them is not seen."""


@dataclass(frozen=True)
class Memory:
    """Bytes of memory that are this process's own; pages of files are not counted.

    Attributes:
        now: at the last look.
        peak: the most at any look.
    """

    now: int
    peak: int


class Watch:
    """Looks at the memory again and again, from a thread of its own."""

    def __init__(self) -> None:
        self._ended = Event()
        self._seen: Memory | None = None

    @property
    def memory(self) -> Memory | None:
        """What was seen; None where the system does not tell."""
        return self._seen

    def look(self) -> None:
        """Look once."""
        now = private_resident()
        if now is not None:
            peak = now if self._seen is None else max(now, self._seen.peak)
            self._seen = Memory(now, peak)

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Look until the block ends."""
        self.look()
        thread = Thread(target=self._run, name="vlmforge-memory", daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._ended.set()
            thread.join()

    def _run(self) -> None:
        while not self._ended.wait(PERIOD):
            self.look()
