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

class Real:
    """Arithmetic of real numbers, float32 or float64, with the same bits on every processor.

    Arrays that are written are the last ones, but for :meth:`round_columns` and
    :meth:`descend_columns`, which change what ``vlmforge.arithmetic.rounding`` says. Raises
    ValueError where shapes do not fit each other, and TypeError where memory is laid out otherwise
    than a kernel reads it.
    """

    def __init__(self, isa: str, threads: int) -> None: ...
    def product(self, a: np.ndarray, b: np.ndarray, c: np.ndarray, sign: int) -> None:
        """``c = c + a b``; with a sign of -1 ``c - a b``, of 0 ``a b``."""

    def rounded_product(self, a: np.ndarray, b: np.ndarray, c: np.ndarray) -> None:
        """``c = a b`` of float32 rounded to bfloat16; sums are float32."""

    def sum_rows(self, x: np.ndarray, sums: np.ndarray) -> None: ...
    def normalize(
        self, x: np.ndarray, epsilon: float, centred: bool, output: np.ndarray
    ) -> None: ...
    def attention(
        self,
        query: np.ndarray,
        key: np.ndarray,
        value: np.ndarray,
        visible: np.ndarray,
        dim: int,
        scale: float,
        output: np.ndarray,
        rounded: bool,
    ) -> None: ...
    def hadamard(self, x: np.ndarray, output: np.ndarray) -> None: ...
    def apply(self, function: str, x: np.ndarray, output: np.ndarray) -> None: ...
    def round_columns(
        self,
        weight: np.ndarray,
        scale: np.ndarray,
        factor: np.ndarray,
        codes: np.ndarray,
        errors: np.ndarray,
        lowest: float,
        largest: float,
    ) -> None: ...
    def descend_columns(
        self,
        gradient: np.ndarray,
        hessian: np.ndarray,
        scales: np.ndarray,
        codes: np.ndarray,
        errors: np.ndarray,
        lowest: float,
        largest: float,
    ) -> None: ...
    def count_sizes(
        self,
        x: np.ndarray,
        weights: np.ndarray,
        shift: int,
        elements: np.ndarray,
        weighted: np.ndarray,
    ) -> int:
        """Adds to both histograms; gives how many elements were not finite, and left out."""

class Whole:
    """Products of codes, exact until they are rounded once: see ``vlmforge.arithmetic.whole``.

    Raises as :class:`Real` does.
    """

    def __init__(self, isa: str, threads: int) -> None: ...
    def product(
        self,
        x: np.ndarray,
        codes: np.ndarray,
        group_scale: np.ndarray | None,
        group: int,
        multiplier: np.ndarray,
        bias: np.ndarray | None,
        output: np.ndarray,
    ) -> None: ...
    def add_gram(self, x: np.ndarray, sums: np.ndarray) -> None: ...
