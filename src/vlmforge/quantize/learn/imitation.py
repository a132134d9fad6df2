"""Imitation: nodes as the integer program computes them, in float arithmetic and differentiable."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence

from torch import Tensor

from vlmforge.graph.core import Graph, Node
from vlmforge.graph.evaluate import compute
from vlmforge.graph.ops import PRODUCTS
from vlmforge.graph.stream import with_loaded
from vlmforge.quantize.learn.straight_through import on_grid
from vlmforge.quantize.scales.grid import Grid


class Imitation(ABC):
    """Rounds every value onto its grid; gradients pass the rounding.

    Subclasses say what products make of their input, and what of that can be learned.
    """

    def __init__(
        self, graph: Graph, nodes: Sequence[Node], grids: Mapping[str, Grid], device: str
    ) -> None:
        """Loads the biases of products among ``nodes``, and all weights of the others."""
        others = [node for node in nodes if node.op not in PRODUCTS]
        self._graph, self._grids = with_loaded(graph, others, device), grids
        biases = {node.name: graph.weight(node, "bias") for node in nodes if node.op in PRODUCTS}
        self._biases = {name: bias.load().to(device) for name, bias in biases.items() if bias}

    def _value(self, node: Node, values: Mapping[str, Tensor]) -> Tensor:
        """A node's value, given those it reads."""
        if node.op not in PRODUCTS:
            return self._rounded(node.name, self._operator(node, values))
        value, bias = self._product(node, values[node.inputs[0]]), self._biases.get(node.name)
        return self._rounded(node.name, value if bias is None else value + bias)

    @abstractmethod
    def _product(self, node: Node, x: Tensor) -> Tensor:
        """``x W^T``, without the bias."""

    def _operator(self, node: Node, values: Mapping[str, Tensor]) -> Tensor:
        return compute(self._graph, node, values)

    def _rounded(self, name: str, value: Tensor) -> Tensor:
        return on_grid(value, self._grids.get(name))
