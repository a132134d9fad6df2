"""Budget: what rendering a template may take, in units of about one character."""

from __future__ import annotations

import time
from collections.abc import ItemsView, KeysView, Mapping, Sequence, Set, ValuesView
from typing import Any

from jinja2.utils import Namespace

from vlmforge.errors import RunError

NODE = 16
"""Units of an element of a list or dictionary, and of a step."""

UNITS_A_SECOND = 8_000_000
"""How slow a unit may be at worst; most are a hundred times faster."""

LOOK = 10_000
"""Units between two looks at the clock."""


class Budget:
    """Counts what has been spent, for one rendering in one thread.

    Whatever a template makes is paid for before it is made, so that neither memory nor time
    exceeds the budget by more than a factor.

    Args:
        units: to be spent.
    """

    def __init__(self, units: int) -> None:
        self.left = units
        self._look = units
        self._end = time.thread_time() + units / UNITS_A_SECOND

    def spend(self, units: int) -> None:
        """Take note of work to be done; RunError if there is not enough left."""
        self.left -= units
        if self.left < 0:
            raise exceeded("work or text")
        if self.left < self._look - LOOK:
            self._look = self.left
            if time.thread_time() > self._end:
                raise exceeded("time")

    def nodes(self, value: object) -> int:
        """Units of all elements within a value, as often as they occur; RunError if too many."""
        return self._measure(value, 0)

    def text(self, value: object) -> int:
        """Units of a value as text, and of its elements; RunError if too many."""
        return self._measure(value, 1)

    def _measure(self, value: object, weight: int) -> int:
        units, pending = 0, [value]
        while pending:
            value = pending.pop()
            units += NODE
            if isinstance(value, str):
                units += weight * len(value)
            elif isinstance(value, Namespace):
                raise exceeded("namespaces within values")
            else:
                pending += elements(value)
            if units > self.left:
                raise exceeded("work or text")
        return units


def elements(value: object) -> list[Any]:
    """The elements of a container, keys and values of a dictionary; none of another value."""
    if isinstance(value, Mapping):
        return [*value, *value.values()]
    if isinstance(value, (Sequence, Set, KeysView, ValuesView, ItemsView)) and not isinstance(
        value, (str, range)
    ):
        return list(value)
    return []


def length(value: object) -> int:
    """Units of a value whose elements count one each."""
    if isinstance(value, str):
        return len(value)
    return NODE * len(value) if hasattr(value, "__len__") else NODE


def exceeded(what: str) -> RunError:
    """The error about a template that takes too much of something."""
    return RunError(
        f"the chat template takes too much {what} for these messages",
        mend="shorten the messages, or take over the chat template of the original model",
    )
