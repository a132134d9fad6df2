"""Here: tasks are computed by whoever asks, one after the other."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from vlmforge.tasks.tasks import Item, Result


class Here:
    """See :class:`vlmforge.tasks.tasks.Tasks`."""

    width = 1

    def map(self, function: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
        """Each item is asked for once the result before it was taken."""
        return map(function, items)

    def everywhere(self, function: Callable[[], Result]) -> Iterator[tuple[str, Result]]:
        """There is no other machine."""
        return iter(())


HERE = Here()
