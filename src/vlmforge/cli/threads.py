"""How many threads a command may use."""

from __future__ import annotations

import os
import sys

from vlmforge.machine.cores import THREADS

OPENMP = "OMP_NUM_THREADS"
"""What torch reads when it is loaded."""

SPINS = "GOMP_SPINCOUNT", "2000"
"""How long torch's idle threads wait before they sleep, in turns of a loop: some microseconds. By
default they keep a processor for milliseconds, from which our own threads would then be kept."""


def share_processors() -> None:
    """Let torch's threads and ours take turns; before torch is loaded."""
    os.environ.setdefault(*SPINS)


def use_threads(count: int | None) -> None:
    """Let programs, and torch where it computes, use so many threads; as it was if None."""
    if count is None:
        return
    os.environ[THREADS] = os.environ[OPENMP] = str(count)
    torch = sys.modules.get("torch")
    if torch is not None:
        torch.set_num_threads(count)
