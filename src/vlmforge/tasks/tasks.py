"""Tasks: what maps a function over items."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Protocol, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


class Tasks(Protocol):
    """Maps functions over items; where and when each is computed makes no difference.

    Functions, items and results are values that can be sent to another machine, and a function
    gives the same for an item however often it is asked.
    """

    @property
    def width(self) -> int:
        """How many items are worked on at once, at least 1."""
        ...

    def map(self, function: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
        """The results in the order of the items, of which few are asked for ahead of them."""
        ...

    def everywhere(self, function: Callable[[], Result]) -> Iterator[tuple[str, Result]]:
        """The name of each other machine, and what a function gives there."""
        ...
