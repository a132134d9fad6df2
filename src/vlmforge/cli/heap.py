"""What becomes of memory that is free again."""

from __future__ import annotations

import ctypes

TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3
"""Parameters of mallopt(3)."""

LARGEST = 256 << 20
"""Bytes of a block that the heap takes; larger ones go back to the system at once."""

FREE = 512 << 20
"""Bytes at the end of the heap that may stay free."""


def keep_pages() -> None:
    """Let the C library give blocks of a size again that were used before, where it can.

    Every value of a model that runs in torch is a block of its own. Otherwise the system maps and
    clears the pages of each anew, which takes a tenth of a compile.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, TypeError, AttributeError):
        return
    mallopt(MMAP_THRESHOLD, LARGEST)
    mallopt(TRIM_THRESHOLD, FREE)
