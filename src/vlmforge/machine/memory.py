"""What becomes of a run that asks for more memory than there is."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np

from vlmforge.errors import RunError

UNCOUNTABLE = 1 << 63
"""Numbers of bytes from here on stand for more than can be counted."""

MEND = (
    "pass fewer positions or requests at once, a smaller cache, or use a machine with more memory"
)


@contextmanager
def memory_told(where: str) -> Iterator[None]:
    """Turn a lack of memory within into a :class:`RunError` that tells how much was asked for."""
    try:
        yield
    except MemoryError as error:
        asked = error.args[0] if len(error.args) == 1 else None
        told = (
            _asked(asked) if isinstance(asked, int) else str(error) or "some bytes were asked for"
        )
        raise _error(told, where) from error


def allocate(shape: Sequence[int], dtype: str, where: str) -> np.ndarray:
    """An array that is not filled; :class:`RunError` if there is no memory for it."""
    try:
        return np.empty(shape, dtype)
    except (MemoryError, ValueError) as error:  # NumPy's word for more than can be counted
        asked = math.prod(shape) * np.dtype(dtype).itemsize
        raise _error(_asked(asked), where) from error


def _asked(size: int) -> str:
    if size >= UNCOUNTABLE:
        return "more bytes than can be counted were asked for"
    return f"{size} bytes ({size / 2**30:.1f} GiB) were asked for"


def _error(told: str, where: str) -> RunError:
    return RunError(f"there is not enough memory: {told}", where=where, mend=MEND)
