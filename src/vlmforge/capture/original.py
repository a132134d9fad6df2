"""Which module of the original model has the same output as a node."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from torch import Tensor

from vlmforge.graph.core import Weight

Table = tuple[tuple[str, str], ...]
"""Pattern of node names to the path of a module."""


@dataclass(frozen=True)
class Counterpart:
    """A module of the original model, perhaps some channels of its output, reordered or scaled.

    Attributes:
        module: its path.
        channels: start and stop; None for all.
        order: where the channels of each head were, one after the other; None where they were.
        factor: what they are multiplied by.
    """

    module: str
    channels: tuple[int, int] | None = None
    order: tuple[int, ...] | None = None
    factor: float = 1.0

    @staticmethod
    def parse(text: str) -> Counterpart:
        """What :meth:`__str__` gives."""
        found = re.fullmatch(r"([^\[{*]*)(?:\[(\d+):(\d+)\])?(?:\{(.*)\})?(?:\*(.*))?", text)
        if found is None:
            return Counterpart(text)
        module, start, stop, runs, factor = found.groups()
        channels = None if start is None else (int(start), int(stop))
        order = None if runs is None else _listed(runs)
        return Counterpart(module, channels, order, float(factor or 1))

    def __str__(self) -> str:
        """The path, with channels, order and factor: ``attn.qkv[64:128]{0:8:2,1:8:2}*0.5``."""
        channels = "" if self.channels is None else "[{}:{}]".format(*self.channels)
        order = "" if self.order is None else f"{{{','.join(_runs(self.order))}}}"
        factor = "" if self.factor == 1 else f"*{self.factor!r}"
        return f"{self.module}{channels}{order}{factor}"

    def of(self, output: Tensor) -> Tensor:
        """What the node gives, from the module's output."""
        part = output if self.channels is None else output[..., slice(*self.channels)]
        if self.order is not None:
            part = part.unflatten(-1, (-1, len(self.order)))[..., list(self.order)].flatten(-2)
        return part if self.factor == 1 else part * self.factor

    def weight(self, stored: Weight) -> Weight:
        """The node's weight or bias, from the module's: its rows are the output's channels."""
        part = stored if self.channels is None else stored.part(*self.channels)
        part = part if self.order is None else part.reordered(self.order)
        return part.times(self.factor)


def _runs(order: Sequence[int]) -> Iterator[str]:
    """The numbers as slices, as few as go from left to right."""
    start = 0
    while start < len(order):
        step = order[start + 1] - order[start] if start + 1 < len(order) else 1
        stop = start + 1
        while stop < len(order) and step > 0 and order[stop] - order[stop - 1] == step:
            stop += 1
        end, by = order[stop - 1] + 1, step if stop - start > 1 else 1
        yield f"{order[start]}:{end}" + (f":{by}" if by > 1 else "")
        start = stop


def _listed(runs: str) -> tuple[int, ...]:
    slices = [[int(number) for number in run.split(":")] for run in runs.split(",")]
    return tuple(index for bounds in slices for index in range(*bounds))


def module_of(node: str, table: Table) -> str | None:
    """The module path that the first matching pattern gives for a node's name, or None."""
    for pattern, module in table:
        if match := re.fullmatch(pattern, node):
            return match.expand(module)
    return None
