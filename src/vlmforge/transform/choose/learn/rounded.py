"""A graph evaluated with rounded activations and exact weights, differentiable in rotations.

With exact weights a rotation acts only where a rotated value is rounded: ``round(x R) R'``
stands for a rotated producer and reader. So the graph keeps its own weights, and gradients
reach nothing but the rotations. R1 acts on the norms of the residual stream, R2 on the values
of each attention and on its output.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import prod

import torch
from torch import Tensor

from vlmforge.dims import resolve
from vlmforge.graph.core import Graph, Node, Weight
from vlmforge.graph.evaluate import Values, compute, traverse
from vlmforge.graph.feeds import sizes_of
from vlmforge.graph.ops import MOVES
from vlmforge.graph.residual import residual
from vlmforge.learning.loss import output_loss
from vlmforge.transform.blocks import value_paths
from vlmforge.transform.mean_keeping import normalizes_mean
from vlmforge.transform.precision import ROUNDED, Precision, round_to

TOKENS = 256
"""Most tokens of a sample, which bounds the memory of the backward pass."""


@dataclass
class Rotated:
    """Rotations under the values they act on.

    Attributes:
        residual: R1 ``[width]`` squared, float32, or None.
        values: R2 ``[head_dim, head_dim]`` by attention, float32.
        norms: the values R1 acts on.
        heads: the values R2 acts on, to their attention.
        mean: whether R1 has to keep the mean of rows.
    """

    residual: Tensor | None
    values: dict[str, Tensor]
    norms: frozenset[str] = frozenset()
    heads: dict[str, str] = field(default_factory=dict)
    mean: bool = False

    @staticmethod
    def of(graph: Graph, r1: Tensor | None, r2: Mapping[str, Tensor], device: str) -> Rotated:
        """The rotations of a prepared graph, copied."""
        norms = frozenset(node.name for node in residual(graph).readers)
        heads = {}
        for path in value_paths(graph, {}) if r2 else ():
            for name in (path.value.name, path.attention.name):
                heads[name] = path.attention.name
        values = {name: matrix.to(device, torch.float32, copy=True) for name, matrix in r2.items()}
        turned = None if r1 is None else r1.to(device, torch.float32, copy=True)
        return Rotated(turned, values, norms, heads, normalizes_mean(graph))

    def keeps_mean(self, matrix: Tensor) -> bool:
        """Whether the matrix is R1, and has to keep the mean of rows."""
        return self.mean and matrix is self.residual

    def on(self, value: str) -> Tensor | None:
        """The rotation of a value, or None."""
        if value in self.norms:
            return self.residual
        return self.values[self.heads[value]] if value in self.heads else None


class RoundedGraph:
    """A component with all weights in memory, its loss under rounding of int8 values."""

    def __init__(
        self, graph: Graph, precision: Precision, rotated: Rotated, device: str = "cpu"
    ) -> None:
        held = {name: Weight.of(w.load().to(device)) for name, w in graph.weights.items()}
        self.graph, self.precision, self.rotated = graph.with_weights(held), precision, rotated

    @torch.no_grad()
    def exact(self, feeds: Mapping[str, Tensor]) -> Tensor:
        """The float graph's first output."""
        return self._evaluate(feeds, rounding=False)

    def loss(self, feeds: Mapping[str, Tensor], wanted: Tensor) -> Tensor:
        """How far rounding moves the output from ``wanted``: see :func:`output_loss`."""
        return output_loss(self.graph.component, self._evaluate(feeds, rounding=True), wanted)

    def _evaluate(self, feeds: Mapping[str, Tensor], rounding: bool) -> Tensor:
        def value_of(node: Node, values: Values) -> Tensor:
            value = compute(self.graph, node, values)
            return self._rounded(node.name, value) if rounding and node.op not in MOVES else value

        return traverse(self.graph, feeds, value_of)[self.graph.outputs[0]]

    def _rounded(self, name: str, value: Tensor) -> Tensor:
        if self.precision.limit(name) != ROUNDED["int8"]:
            return value
        rotation = self.rotated.on(name)
        if rotation is None:
            return self._round(name, value)
        turned = (value.unflatten(-1, (-1, len(rotation))) @ rotation).flatten(-2)
        rounded = self._round(name, turned).unflatten(-1, (-1, len(rotation)))
        return (rounded @ rotation.T).flatten(-2)

    def _round(self, name: str, value: Tensor) -> Tensor:
        channelwise = name in self.precision.channelwise
        largest = value.abs().amax(0, keepdim=True) if channelwise else value.abs().amax()
        return round_to(value, largest / ROUNDED["int8"], ROUNDED["int8"])


def memory(graph: Graph, feeds: Mapping[str, Tensor]) -> int:
    """About the bytes of the float weights and of the values kept for the backward pass."""
    weights = sum(4 * torch.Size(weight.shape).numel() for weight in graph.weights.values())
    sizes = sizes_of(graph, feeds)
    return weights + 12 * sum(prod(resolve(node.shape, sizes)) for node in graph.nodes.values())
