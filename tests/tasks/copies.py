"""Copies: tasks as other machines compute them, without any."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from vlmforge.tasks.tasks import Item, Result


@dataclass(frozen=True)
class Copies:
    """Lets a copy of the function work on a copy of each item, and gives a copy of the result."""

    width: int = 3

    def map(self, function: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
        """See :class:`vlmforge.tasks.tasks.Tasks`."""
        sent = pickle.dumps(function)
        for item in items:
            yield copied(pickle.loads(sent)(copied(item)))

    def everywhere(self, function: Callable[[], Result]) -> Iterator[tuple[str, Result]]:
        """One machine, called ``there``."""
        yield "there", copied(function)()


def copied(value: Result) -> Result:
    """A value as it arrives elsewhere."""
    found: Result = pickle.loads(pickle.dumps(value))
    return found
