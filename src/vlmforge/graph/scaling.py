"""Nodes whose output channels leave multiplied by factors. Arithmetic is float64, rounded once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from torch import Tensor

from vlmforge.errors import GraphError
from vlmforge.graph.core import Graph, Node, Weight
from vlmforge.graph.ops import NORMS


def scale_output(graph: Graph, node: Node, factor: Tensor) -> dict[str, Weight]:
    """The weights of a product or norm whose output leaves multiplied by ``factor`` [out].

    Raises:
        GraphError: the node has another number of output channels.
    """
    for name in node.weights.values():
        channels = graph.weights[name].shape[0]
        if channels != len(factor):
            what = f"{len(factor)} scales do not fit its {channels} output channels"
            raise GraphError(what, where=node.name)
    return {name: _scaled(graph.weights[name], factor) for name in node.weights.values()}


def multiply_norms(graph: Graph, factors: Mapping[str, Tensor]) -> Graph:
    """The graph whose norms' outputs leave multiplied by ``factors`` ``[channels]``, by norm.

    Raises:
        GraphError: a norm has another number of channels.
    """
    nodes, changed = dict(graph.nodes), dict[str, Weight]()
    for name, factor in factors.items():
        norm = graph.nodes[name]
        if norm.shape[-1] != len(factor):
            what = f"{len(factor)} scales do not fit its {norm.shape[-1]} channels"
            raise GraphError(what, where=name)
        if "weight" not in norm.weights:
            gain = f"{name}.gain"
            changed[gain] = Weight.of(factor.float())
            nodes[name] = replace(norm, weights={**norm.weights, "weight": gain})
        changed |= scale_output(graph, norm, factor)
    return graph.with_nodes(nodes.values(), changed)


def multiply_output(graph: Graph, node: Node, factor: Tensor) -> Graph:
    """The graph whose product or norm gives its output multiplied by ``factor`` ``[channels]``.

    Raises:
        GraphError: the node has another number of channels.
    """
    if node.op in NORMS:
        return multiply_norms(graph, {node.name: factor})
    return graph.with_weights(scale_output(graph, node, factor))


def _scaled(weight: Weight, factor: Tensor) -> Weight:
    def read(start: int, stop: int) -> Tensor:
        rows = weight.read(start, stop)
        factors = factor[start:stop].reshape(-1, *[1] * (rows.dim() - 1))
        return (rows.double() * factors).to(rows.dtype)

    return Weight(weight.shape, read)
