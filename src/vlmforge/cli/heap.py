"""What becomes of memory that is free again."""

from __future__ import annotations

import ctypes
import os

TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3
"""Parameters of mallopt(3)."""

LARGEST = 8 << 20
"""Bytes of a block that the heap takes; larger ones go back to the system at once.

Weights and wide values come and go, and what is small and stays between them would make each hole
too small for the next: gigabytes, over all layers.
"""

FREE = 512 << 20
"""Bytes at the end of the heap that may stay free."""

HUGE_PAGES = "THP_MEM_ALLOC_ENABLE"
"""What torch reads, before its first large block: whether to ask for those in pages of 2 MB."""


def keep_pages() -> None:
    """Let the C library give blocks of a size again that were used before, where it can.

    Every value of a model that runs in torch is a block of its own. Otherwise the system maps and
    clears the pages of each anew, which takes a tenth of a compile. Large blocks are mapped anew
    all the same, in huge pages, of which there are few.
    """
    os.environ.setdefault(HUGE_PAGES, "1")
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, TypeError, AttributeError):
        return
    mallopt(MMAP_THRESHOLD, LARGEST)
    mallopt(TRIM_THRESHOLD, FREE)
