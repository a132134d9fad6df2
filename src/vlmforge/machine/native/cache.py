"""NativeCache: keys and values in the order the native kernels read."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

import vlmforge._native as _native
from vlmforge.errors import RunError
from vlmforge.machine.cache import check_rows, row_width


class NativeCache:
    """The native machine's :class:`vlmforge.machine.cache.Cache`.

    Memory is taken as it is filled, not all at once.

    Attributes:
        widths: cache name to ``kv_heads * head_dim``, in program order.
        capacity: rows there is room for.
        length: rows in use.
        store: the keys and values.
    """

    def __init__(self, machine: _native.Machine, widths: Mapping[str, int], capacity: int) -> None:
        self.widths = widths
        self.capacity = capacity
        self.length = 0
        self.store = _native.Cache(machine, capacity)

    def truncate(self, length: int) -> None:
        """See :meth:`vlmforge.machine.cache.Cache.truncate`."""
        if not 0 <= length <= self.length:
            raise RunError(
                f"a cache of {self.length} rows cannot be cut to {length}",
                mend="cut it to a length between 0 and the present one",
            )
        self.length = length

    def extend(self, rows: int) -> None:
        """Count rows that a run has written behind those in use."""
        self.length += rows

    def read(self, start: int, stop: int) -> np.ndarray:
        """See :meth:`vlmforge.machine.cache.Cache.read`."""
        if not 0 <= start <= stop <= self.length:
            raise RunError(
                f"a cache of {self.length} rows has no rows {start} to {stop}",
                mend="read rows that are in use",
            )
        rows = np.empty((stop - start, row_width(self)), np.int8)
        self.store.read(start, rows)
        return rows

    def append(self, rows: np.ndarray) -> None:
        """See :meth:`vlmforge.machine.cache.Cache.append`."""
        check_rows(rows, self)
        self.store.write(self.length, np.ascontiguousarray(rows))
        self.length += len(rows)
