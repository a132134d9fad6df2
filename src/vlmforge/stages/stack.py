"""Stack: the layers of a decoder or the blocks of a tower, and how fast a computer is at them."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import prod

import torch

from vlmforge.source.checkpoint import Checkpoint

Shape = tuple[int, int]

MEASURED_SECONDS = 0.4
"""How long a speed is measured."""

ROWS = 1024
"""Rows at once, where there are as many as one likes."""


@dataclass(frozen=True)
class Stack:
    """Layers of the same shapes.

    Attributes:
        depth: how many there are.
        products: the shapes ``(out, in)`` of the weights of one.
        place: where they are computed.
    """

    depth: int
    products: Sequence[Shape]
    place: torch.device

    @staticmethod
    def of(checkpoint: Checkpoint, begin: str, place: torch.device) -> Stack:
        """The layers whose weights' names begin so, and go on with a number; there may be none."""
        names = [name for name in checkpoint.names() if name.startswith(begin)]
        numbers = {name.removeprefix(begin).partition(".")[0] for name in names}
        first = [checkpoint.shape(name) for name in names if name.startswith(f"{begin}0.")]
        products = [(shape[0], shape[1]) for shape in first if len(shape) == 2]
        return Stack(len(numbers), products, place)

    def seconds(self, dtype: torch.dtype, rows: int = ROWS) -> float:
        """The time of all products of one row, of so many that are computed together."""
        if not self.products:
            return 0.0
        return self.depth * products_seconds(self.products, rows, dtype, self.place) / rows

    @property
    def operations(self) -> float:
        """Multiplications and additions of all products of a row."""
        return self.depth * sum(2.0 * prod(shape) for shape in self.products)

    @property
    def attention(self) -> float:
        """Those of attention in all layers, a pair of rows."""
        return 4.0 * self.depth * min((inputs for _, inputs in self.products), default=0)

    @property
    def rounding(self) -> float:
        """Those of error compensation and coordinate descent of all products.

        A product's own are five for every output and pair of inputs; the factor that products of
        the same inputs share takes about as long as two for every three inputs.
        """
        own = sum(5.0 * outputs * inputs**2 for outputs, inputs in self.products)
        factors = sum(2.0 * inputs**3 for inputs in {inputs for _, inputs in self.products})
        return self.depth * (own + factors)


@torch.inference_mode()
def products_seconds(
    shapes: Sequence[Shape], rows: int, dtype: torch.dtype, place: torch.device
) -> float:
    """The time of products with weights ``[out, in]`` of these shapes, each once, of ``rows``."""
    weights = [torch.ones(shape, dtype=dtype, device=place) for shape in shapes]
    inputs = [torch.ones(rows, shape[1], dtype=dtype, device=place) for shape in shapes]

    def once() -> None:
        for weight, value in zip(weights, inputs, strict=True):
            torch.nn.functional.linear(value, weight)
        if place.type == "cuda":
            torch.cuda.synchronize()

    once()
    return _timed(once)


def _timed(work: Callable[[], None]) -> float:
    """The mean seconds of several runs."""
    start, runs = time.perf_counter(), 0
    while (spent := time.perf_counter() - start) < MEASURED_SECONDS or not runs:
        work()
        runs += 1
    return spent / runs
