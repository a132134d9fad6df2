"""The native machine, built from ``native/``; ``run/native.py`` is what uses it."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

def instruction_sets() -> list[str]:
    """Those this processor has, fastest first; the last is ``"scalar"``."""

def read_bandwidth(threads: int) -> float:
    """Bytes a second that so many threads together read from memory, the best of five times."""

def int8_peak(threads: int) -> float:
    """int8 multiplications and additions a second of independent dot-product instructions.

    The best of five times; 0 without an instruction that is known here.
    """

class OutOfMemory(MemoryError):
    """Its only argument is how many bytes were asked for; 2^64 - 1 for more than can be counted."""

class Cache:
    """Keys and values of every caching attention, in program order."""

    def __init__(self, machine: Machine, capacity: int) -> None: ...
    def read(self, start: int, rows: np.ndarray) -> None:
        """Fill int8 ``[n, row]`` with the rows from ``start`` on."""

    def write(self, start: int, rows: np.ndarray) -> None:
        """Replace the rows from ``start`` on by int8 ``[n, row]``."""

Request = tuple[
    Sequence[np.ndarray],  # inputs
    Sequence[int],  # sizes of the dynamic dimensions
    Cache | None,
    int,  # positions in the cache
    Sequence[np.ndarray],  # outputs, to be filled
]

class Machine:
    batchable: bool

    def run(
        self,
        requests: Sequence[Request],
        threads: int,
        trace: Callable[[int, bytes], None] | None,
    ) -> tuple[int, int, int, int] | None:
        """None, or of the first index out of ``[first, limit)`` instruction, index, limit, first.

        ``trace`` is called with each instruction's number and the bytes of its buffer.
        """

    def start_profile(self) -> None: ...
    def profile(self) -> list[float]:
        """Seconds spent in each instruction since :meth:`start_profile`."""

class ProgramBuilder:
    def add_buffer(self, name: str, shape: Sequence[tuple[int, int]], dtype: str) -> int:
        """The number of a buffer, whose dimensions are sizes ``(size, -1)`` and multiples
        ``(factor, number of the dynamic dimension)``."""

    def add_instruction(
        self,
        op: str,
        inputs: Sequence[int],
        output: int,
        tensors: Mapping[str, np.ndarray],
        attributes: Mapping[str, Any],
    ) -> None: ...
    def build(self, inputs: Sequence[int], outputs: Sequence[int], isa: str) -> Machine: ...
