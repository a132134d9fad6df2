"""Kind: what makes inputs of one sort, and reads them."""

from __future__ import annotations

import random
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

Case = Mapping[str, bytes]
"""An input: names of files to their contents."""


class Kind(Protocol):
    """One sort of input.

    Attributes:
        name: of the kind.
        share: of the time, relative to the others'.
    """

    name: str
    share: float

    def prepare(self, directory: Path) -> None:
        """Make what every input needs; called once, before any process is forked."""
        ...

    def make(self, rng: random.Random) -> Case:
        """An input that follows from the state of ``rng`` alone."""
        ...

    def attempt(self, case: Case, directory: Path) -> None:
        """Read the input, in an empty directory of its own.

        Whatever is raised but a :class:`VlmforgeError` is a failure.
        """
        ...


def generator(seed: int, kind: str, number: int) -> random.Random:
    """The generator of one input."""
    return random.Random(f"{seed} {kind} {number}")
