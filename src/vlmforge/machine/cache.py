"""The KV cache: the keys and values of the positions a conversation has passed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import numpy as np

from vlmforge.errors import RunError


class Cache(Protocol):
    """What every machine's cache can do; its layout is the machine's own.

    A *row* is all that is cached of one position: the keys, then the values, of every cached
    attention in the order of the program's instructions. Rows are the same on every machine.

    Attributes:
        widths: cache name to ``kv_heads * head_dim``, in program order.
    """

    widths: Mapping[str, int]

    @property
    def capacity(self) -> int:
        """Rows there is room for."""
        ...

    @property
    def length(self) -> int:
        """Rows in use."""
        ...

    def truncate(self, length: int) -> None:
        """Forget all rows from ``length`` on; raises :class:`RunError` if there are not so many."""
        ...

    def read(self, start: int, stop: int) -> np.ndarray:
        """A copy of rows ``[start, stop)``, int8 ``[stop - start, row]``, see :func:`row_width`.

        Raises:
            RunError: these rows are not all in use.
        """
        ...

    def append(self, rows: np.ndarray) -> None:
        """Add rows that :meth:`read` of a cache of the same program gave.

        Raises:
            RunError: they are not int8 ``[n, row]``, hold the code −128, or find no room;
                the cache then keeps its length.
        """
        ...


class KVCache:
    """The reference machine's :class:`Cache`: an array for each attention, row = position.

    Attributes:
        keys, values: cache name to int8 ``[capacity, kv_heads * head_dim]``; rows from
            ``length`` on are free.
        capacity: rows there is room for.
        length: rows in use.
    """

    def __init__(self, widths: Mapping[str, int], capacity: int) -> None:
        """An empty cache; ``widths`` maps cache name to ``kv_heads * head_dim``."""
        self.widths = widths
        self.capacity = capacity
        self.length = 0
        self.keys = {n: np.zeros((capacity, width), np.int8) for n, width in widths.items()}
        self.values = {n: np.zeros((capacity, width), np.int8) for n, width in widths.items()}

    def truncate(self, length: int) -> None:
        """See :meth:`Cache.truncate`."""
        if not 0 <= length <= self.length:
            raise RunError(
                f"a cache of {self.length} rows cannot be cut to {length}",
                mend="cut it to a length between 0 and the present one",
            )
        self.length = length

    def read(self, start: int, stop: int) -> np.ndarray:
        """See :meth:`Cache.read`."""
        if not 0 <= start <= stop <= self.length:
            raise RunError(
                f"a cache of {self.length} rows has no rows {start} to {stop}",
                mend="read rows that are in use",
            )
        parts = [array[start:stop] for array in self._arrays()]
        return np.concatenate([np.empty((stop - start, 0), np.int8), *parts], axis=1)

    def append(self, rows: np.ndarray) -> None:
        """See :meth:`Cache.append`."""
        check_rows(rows, self)
        span = slice(self.length, self.length + len(rows))
        at = 0
        for array in self._arrays():
            array[span] = rows[:, at : at + array.shape[1]]
            at += array.shape[1]
        self.length = span.stop

    def _arrays(self) -> list[np.ndarray]:
        return [each[name] for name in self.keys for each in (self.keys, self.values)]


def row_width(cache: Cache) -> int:
    """Codes of a row: keys and values of all attentions."""
    return 2 * sum(cache.widths.values())


def check_rows(rows: np.ndarray, cache: Cache) -> None:
    """Raise :class:`RunError` unless the rows can be appended to the cache."""
    width = row_width(cache)
    if rows.dtype != np.int8 or rows.ndim != 2 or rows.shape[1] != width:
        raise RunError(
            f"the rows are {rows.dtype}{list(rows.shape)}, not int8[n, {width}]",
            mend="append rows read from a cache of the same program",
        )
    if cache.length + len(rows) > cache.capacity:
        raise RunError(
            f"{len(rows)} more rows do not fit a cache with {cache.length} of {cache.capacity} "
            "in use",
            mend="append fewer rows, or ask for a larger cache",
        )
    if (rows == -128).any():
        raise RunError("the rows hold the code −128", mend="append rows read from a cache")
