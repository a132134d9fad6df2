"""How large a program may be, so that every size a machine counts fits 63 bits.

``docs/numbers.md`` states the same limits, and ``native/runtime/limits.cc`` holds them again.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from vlmforge.dims import elements
from vlmforge.program.core import Buffer, Program
from vlmforge.program.spec import require

MAX_RANK: Final = 8
"""Most dimensions of a buffer; :mod:`vlmforge.dims` limits each."""

MAX_BUFFERS: Final = 1 << 14

MAX_BUFFER_BYTES: Final = 1 << 36
"""Most bytes of a buffer, with every dynamic dimension counted as its factor."""

MAX_PROGRAM_BYTES: Final = 1 << 40
"""Most bytes of all buffers together, counted so."""

MAX_CACHE_LENGTH: Final = 1 << 24
"""Most positions of a KV cache."""


def require_size(buffer: Buffer) -> None:
    """Raise :class:`RuleError` if a buffer of valid dimensions is too large."""
    require(len(buffer.shape) <= MAX_RANK, f"a buffer has at most {MAX_RANK} dimensions")
    fits = _bytes(buffer) <= MAX_BUFFER_BYTES
    require(fits, f"a buffer has at most {MAX_BUFFER_BYTES} bytes, not {_bytes(buffer)}")


def require_total(program: Program) -> None:
    """Raise :class:`RuleError` if a program of valid buffers is too large."""
    count = len(program.buffers)
    require(count <= MAX_BUFFERS, f"there are at most {MAX_BUFFERS} buffers, not {count}")
    total = sum(map(_bytes, program.buffers.values()))
    fits = total <= MAX_PROGRAM_BYTES
    require(fits, f"all buffers have at most {MAX_PROGRAM_BYTES} bytes, not {total}")


def _bytes(buffer: Buffer) -> int:
    return elements(buffer.shape)[0] * np.dtype(buffer.dtype).itemsize
