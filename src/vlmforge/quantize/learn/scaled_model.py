"""ScaledModel: a quantized component, differentiable in the scales it multiplies channels by."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from vlmforge.graph.core import Graph, Node
from vlmforge.graph.evaluate import patches, traverse
from vlmforge.graph.ops import NORMS, PRODUCTS
from vlmforge.quantize.learn.imitation import Imitation
from vlmforge.quantize.scales.choice import Scales
from vlmforge.quantize.scales.grid import grids
from vlmforge.quantize.weights.formats import QuantizedWeight


class ScaledModel(Imitation):
    """The component as the integer program computes it, but for float32 arithmetic.

    Codes stay as they are, in integers; gradients pass the rounding of values.

    Attributes:
        factors: what the output channels of each product and norm are multiplied by, float32
            ``[channels]``, 1 at first.
    """

    def __init__(
        self,
        graph: Graph,
        codes: Mapping[str, str],
        scales: Scales,
        weights: Mapping[str, QuantizedWeight],
        device: str = "cpu",
    ) -> None:
        nodes = list(graph.nodes.values())
        super().__init__(graph, nodes, grids(graph, codes, scales, device), device)
        self._weights = weights
        scaled = [node for node in nodes if node.op in (*PRODUCTS, *NORMS)]
        self.factors = {node.name: _ones(node, device) for node in scaled}

    def run(self, feeds: Mapping[str, Tensor]) -> Tensor:
        """The first output for one sample's feeds."""
        rounded = {name: self._rounded(name, value) for name, value in feeds.items()}
        return traverse(self._graph, rounded, self._value)[self._graph.outputs[0]]

    def _operator(self, node: Node, values: Mapping[str, Tensor]) -> Tensor:
        value = super()._operator(node, values)
        return value * self.factors[node.name] if node.op in NORMS else value

    def _product(self, node: Node, x: Tensor) -> Tensor:
        if node.op == "conv2d":
            x = patches(x, *self._graph.weights[node.weights["weight"]].shape[1:3])
        value: Tensor = _Product.apply(x, self._weights[node.name]) * self.factors[node.name]
        return value


def _ones(node: Node, device: str) -> Tensor:
    channels = node.shape[-1]
    assert isinstance(channels, int)  # channels are never dynamic
    return torch.ones(channels, device=device)


class _Product(torch.autograd.Function):
    """``x W^T``; the real weight is held while it is needed, and has no gradient."""

    @staticmethod
    def forward(context: Any, x: Tensor, weight: QuantizedWeight) -> Tensor:
        context.weight = weight
        return x @ weight.dequantized().to(x.device).T

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return gradient @ context.weight.dequantized().to(gradient.device), None
