"""Kept pass: samples that stream through a graph go on where they were interrupted."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from torch import Tensor

from vlmforge.formats.kept_file import KeptFile, KeptState


class KeptPass:
    """Keeps how far samples have come, and what was seen of them; a :class:`Keeper` of streams."""

    def __init__(self, file: KeptFile, seen: object, see: Callable[[Any], None]) -> None:
        """Keep a pass in a file.

        Args:
            file: of this pass alone.
            seen: grows as samples are seen, and is what a :class:`KeptFile` takes.
            see: takes what was seen before an interruption, as a :class:`KeptFile` gives it.
        """
        self._state = KeptState(file)
        self._seen, self._see = seen, see

    def found(self) -> tuple[int, list[dict[str, Tensor]]] | None:
        """See :class:`vlmforge.graph.stream.Keeper`."""
        found = self._state.file.read()
        if found is None:
            return None
        self._see(found["seen"])
        return found["done"], found["live"]

    def keep(self, done: int, live: Sequence[Mapping[str, Tensor]], *, last: bool) -> None:
        """See :class:`vlmforge.graph.stream.Keeper`."""
        self._state.keep({"done": done, "live": live, "seen": self._seen}, last=last)
