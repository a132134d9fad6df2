"""Norm folding: the gain and bias of a norm move into the products that read it.

``W (g * n + b) + c = (W diag(g)) n + (W b + c)``; after it every norm is weightless and an
RMSNorm commutes with rotations (SliceGPT, Ashkboos et al. 2024, section 3.1).
"""

from __future__ import annotations

from dataclasses import replace

from torch import Tensor

from vlmforge.arithmetic.sums import dots
from vlmforge.errors import GraphError
from vlmforge.graph.core import Graph, Node, Weight
from vlmforge.graph.flow import is_output, row_readers
from vlmforge.graph.ops import NORMS
from vlmforge.transform.blocks import Aside, each_part


def fold_norms(graph: Graph, aside: Aside | None = None) -> Graph:
    """The graph with weightless norms.

    Args:
        graph: to change.
        aside: takes what stands in the way of a norm, which then keeps its weights.

    Raises:
        GraphError: something that is not a product reads a norm with weights or cuts its rows, or
            the caller receives them.
    """
    nodes, weights = dict(graph.nodes), dict(graph.weights)
    weighted = [node for node in graph.nodes.values() if node.op in NORMS and node.weights]
    for norm, readers in each_part(graph, weighted, _folded_into, aside):
        for reader in readers:
            nodes[reader.name] = _fold(graph, norm, nodes[reader.name], weights)
        nodes[norm.name] = replace(norm, weights={})
    return graph.with_nodes(nodes.values(), weights)


def _folded_into(graph: Graph, norm: Node) -> tuple[Node, list[Node]]:
    """A norm and the products that can take its weights."""
    if is_output(graph, norm.name):
        raise GraphError("its weights cannot be folded: it is an output", where=norm.name)
    readers = list(row_readers(graph, norm.name))
    for reader in readers:
        if reader.op != "linear":
            raise GraphError(
                f"cannot fold the weights of {norm.name}: {reader.op} is not a product",
                where=reader.name,
            )
    return norm, readers


def _fold(graph: Graph, norm: Node, product: Node, weights: dict[str, Weight]) -> Node:
    name = product.weights["weight"]
    original = weights[name]
    gain = graph.weight(norm, "weight")
    if gain is not None:
        columns = original.shape[1]
        weights[name] = original.map_rows(lambda rows: rows * _tiled(gain, columns))
    shift = graph.weight(norm, "bias")
    if shift is None:
        return product
    bias_name = product.weights.get("bias", f"{name.removesuffix('.weight')}.bias")
    weights[bias_name] = _shifted(original, shift, weights.get(bias_name))
    return replace(product, weights={"weight": name, "bias": bias_name})


def _tiled(vector: Weight, columns: int) -> Tensor:
    return vector.load().repeat(columns // vector.shape[0])


def _shifted(weight: Weight, shift: Weight, bias: Weight | None) -> Weight:
    def read(start: int, stop: int) -> Tensor:
        rows = weight.read(start, stop)
        moved = dots(rows.double(), _tiled(shift, weight.shape[1]).double())
        return (moved + bias.read(start, stop) if bias else moved).to(rows.dtype)

    return Weight((weight.shape[0],), read)
