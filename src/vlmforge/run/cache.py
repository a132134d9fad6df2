"""KVCache: the keys and values of the positions a conversation has passed."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from vlmforge.errors import RunError


class KVCache:
    """Key and value codes of every cached attention, row = position.

    Attributes:
        keys, values: cache name to int8 ``[capacity, kv_heads * head_dim]``; rows from
            ``length`` on are free.
        capacity: rows there is room for.
        length: rows in use.
    """

    def __init__(self, widths: Mapping[str, int], capacity: int) -> None:
        """An empty cache; ``widths`` maps cache name to ``kv_heads * head_dim``."""
        self.capacity = capacity
        self.length = 0
        self.keys = {n: np.zeros((capacity, width), np.int8) for n, width in widths.items()}
        self.values = {n: np.zeros((capacity, width), np.int8) for n, width in widths.items()}

    def truncate(self, length: int) -> None:
        """Forget all rows from ``length`` on; raises :class:`RunError` if there are not so many."""
        if not 0 <= length <= self.length:
            raise RunError(
                f"a cache of {self.length} rows cannot be cut to {length}",
                mend="cut it to a length between 0 and the present one",
            )
        self.length = length
