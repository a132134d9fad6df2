"""How many threads a command may use."""

from __future__ import annotations

import os
import sys

from vlmforge.machine.cores import THREADS

OPENMP = "OMP_NUM_THREADS"
"""What torch reads when it is loaded."""


def use_threads(count: int | None) -> None:
    """Let programs, and torch where it computes, use so many threads; as it was if None."""
    if count is None:
        return
    os.environ[THREADS] = os.environ[OPENMP] = str(count)
    torch = sys.modules.get("torch")
    if torch is not None:
        torch.set_num_threads(count)
