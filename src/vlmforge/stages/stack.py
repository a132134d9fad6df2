"""Stack: the layers of a decoder or the blocks of a tower, and how fast a computer is at them."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial, wraps
from math import prod
from typing import ParamSpec

import torch
from torch import Tensor

from vlmforge.arithmetic.products import linear
from vlmforge.quantize.observe.histogram import Histogram
from vlmforge.source.checkpoint import Checkpoint
from vlmforge.stages.volume import Volume

Shape = tuple[int, int]
Given = ParamSpec("Given")


@dataclass(frozen=True)
class Multiplication:
    """One way to compute products.

    Attributes:
        dtype: of the operands.
        linear: of rows ``[rows, in]`` and a weight ``[out, in]``.
    """

    dtype: torch.dtype
    linear: Callable[[Tensor, Tensor], Tensor] = torch.nn.functional.linear


EXACT = Multiplication(torch.float32, linear)
"""That of the compiler."""

ROUNDED = Multiplication(torch.float32, partial(linear, rounded=True))
"""That of what only observes values, and of encoders in bfloat16."""

MEASURED_SECONDS = 0.2
"""How long a speed is measured."""

ATTENTION = 0.6
"""The speed of attention, over that of products."""

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
    products: tuple[Shape, ...]
    place: torch.device

    @staticmethod
    def of(checkpoint: Checkpoint, begin: str, place: torch.device) -> Stack:
        """The layers whose weights' names begin so, and go on with a number; there may be none."""
        names = [name for name in checkpoint.names() if name.startswith(begin)]
        numbers = {name.removeprefix(begin).partition(".")[0] for name in names}
        first = [checkpoint.shape(name) for name in names if name.startswith(f"{begin}0.")]
        products = tuple((shape[0], shape[1]) for shape in first if len(shape) == 2)
        return Stack(len(numbers), products, place)

    def seconds(self, way: Multiplication, rows: int = ROWS) -> float:
        """The time of all products of one row, of so many that are computed together."""
        if not self.products:
            return 0.0
        return self.depth * products_seconds(self.products, rows, way, self.place) / rows

    @property
    def outputs(self) -> int:
        """Values that the products of one layer make of a row."""
        return sum(outputs for outputs, _ in self.products)

    def valued(self) -> float:
        """The time in which all these values of all layers are observed and become codes."""
        if not self.products:
            return 0.0
        widest = max(outputs for outputs, _ in self.products)
        return self.depth * self.outputs * value_seconds(widest, self.place)

    @property
    def turning(self) -> float:
        """Operations in which the residual stream's rotation becomes part of all weights."""
        width = min((inputs for _, inputs in self.products), default=0)
        return self.operations * width

    @property
    def operations(self) -> float:
        """Multiplications and additions of all products of a row."""
        return self.depth * sum(2.0 * prod(shape) for shape in self.products)

    def attending(self, row: float, volume: Volume) -> float:
        """Seconds in which patches of an image attend to each other, where a row takes ``row``."""
        if not self.products:
            return 0.0
        attention = 4.0 * self.depth * min(inputs for _, inputs in self.products)
        return row * volume.pairs * attention / (ATTENTION * self.operations)

    @property
    def rounding(self) -> float:
        """Operations of error compensation and coordinate descent of all products.

        A product's own are five for every output and pair of inputs; the factor that products of
        the same inputs share takes about as long as two for every three inputs.
        """
        own = sum(5.0 * outputs * inputs**2 for outputs, inputs in self.products)
        factors = sum(2.0 * inputs**3 for inputs in {inputs for _, inputs in self.products})
        return self.depth * (own + factors)


def measured_once(measure: Callable[Given, float]) -> Callable[Given, float]:
    """A measurement that is made once for the same arguments and number of threads."""

    known: Callable[..., float] = cache(lambda threads, *given, **named: measure(*given, **named))

    @wraps(measure)
    def found(*given: Given.args, **named: Given.kwargs) -> float:
        return known(torch.get_num_threads(), *given, **named)

    return found


@measured_once
@torch.inference_mode()
def products_seconds(
    shapes: tuple[Shape, ...], rows: int, way: Multiplication, place: torch.device
) -> float:
    """The time of products with weights ``[out, in]`` of these shapes, each once, of ``rows``."""
    weights = [torch.ones(shape, dtype=way.dtype, device=place) for shape in shapes]
    inputs = [torch.ones(rows, shape[1], dtype=way.dtype, device=place) for shape in shapes]

    def once() -> None:
        for weight, value in zip(weights, inputs, strict=True):
            way.linear(value, weight)
        if place.type == "cuda":
            torch.cuda.synchronize()

    once()
    return _timed(once)


@measured_once
@torch.inference_mode()
def value_seconds(width: int, place: torch.device) -> float:
    """The time in which a value is observed and becomes a code, of rows of so many."""
    values = torch.linspace(-1, 1, ROWS * width, device=place).view(ROWS, width)
    counted = Histogram()

    def once() -> None:
        counted.update(values)
        (values * 127).round_().clamp_(-127, 127).to(torch.int8)

    once()
    return _timed(once) / values.numel()


def _timed(work: Callable[[], None]) -> float:
    """The mean seconds of several runs."""
    start, runs = time.perf_counter(), 0
    while (spent := time.perf_counter() - start) < MEASURED_SECONDS or not runs:
        work()
        runs += 1
    return spent / runs
