"""StopStrings: texts that end an answer, found while it grows."""

from __future__ import annotations

from collections.abc import Sequence


class StopStrings:
    """Gives out text that no stop string can begin in, and ends at the first one.

    Args:
        stops: the stop strings, none of them empty.
    """

    def __init__(self, stops: Sequence[str]) -> None:
        self._stops = tuple(stops)
        self._held = ""
        self.found = False

    def push(self, text: str) -> str:
        """What may be shown of the text so far; once a stop string is :attr:`found`, the last."""
        self._held += text
        ends = [at for stop in self._stops if (at := self._held.find(stop)) >= 0]
        if ends:
            self.found = True
            return self._given(min(ends))
        return self._given(len(self._held) - self._begun())

    def flush(self) -> str:
        """What is still held back, at the end of the answer."""
        return "" if self.found else self._given(len(self._held))

    def _given(self, count: int) -> str:
        given, self._held = self._held[:count], self._held[count:]
        return given

    def _begun(self) -> int:
        """Characters at the end that a stop string may begin with."""
        longest = min(len(self._held), max(map(len, self._stops), default=1) - 1)
        return next(
            (
                length
                for length in range(longest, 0, -1)
                if any(stop.startswith(self._held[-length:]) for stop in self._stops)
            ),
            0,
        )
