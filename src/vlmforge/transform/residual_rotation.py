"""R1: one rotation of the whole residual stream (SpinQuant, Liu et al. 2024, section 3.1).

Embeddings enter rotated, every product that writes the stream rotates its output, and every
product behind a weightless RMSNorm undoes the rotation, since ``rms(x R) = rms(x)``.
"""

from __future__ import annotations

from torch import Tensor

from vlmforge.errors import GraphError
from vlmforge.graph.core import Graph, Node, Weight
from vlmforge.graph.flow import MOVES, readers
from vlmforge.transform.rotate import rotate_input, rotate_output


def rotate_residual(graph: Graph, rotation: Tensor) -> Graph:
    """The graph for inputs multiplied by ``rotation`` [hidden, hidden], float64; same outputs.

    Raises:
        GraphError: something other than weightless RMSNorms and residual additions touches the
            stream; the message names the node and the reason.
    """
    stream = _stream(graph)
    changed: dict[str, Weight] = {}
    for node in _writers(graph, stream):
        changed |= rotate_output(graph, node, rotation)
    for node in _readers(graph, stream):
        changed |= rotate_input(graph, node, rotation)
    return graph.with_weights(changed)


def _stream(graph: Graph) -> set[str]:
    stream = {"inputs_embeds"}
    for node in graph.nodes.values():
        moved = node.op in MOVES and node.inputs[0] in stream
        if moved or (node.op == "add" and stream & set(node.inputs)):
            stream.add(node.name)
    return stream


def _writers(graph: Graph, stream: set[str]) -> list[Node]:
    written = [
        name
        for node in graph.nodes.values()
        if node.op == "add" and node.name in stream
        for name in node.inputs
        if name not in stream
    ]
    nodes = [graph.nodes[name] for name in written]
    for node in nodes:
        if node.op != "linear":
            _refuse(node, "only products may write the residual stream")
        if len(graph.consumers(node.name)) > 1:
            _refuse(node, "its output is also read outside the residual stream")
    return nodes


def _readers(graph: Graph, stream: set[str]) -> list[Node]:
    norms = [
        node
        for node in graph.nodes.values()
        if node.name not in stream and stream & set(node.inputs)
    ]
    for norm in norms:
        if norm.op != "rms_norm" or norm.weights:
            _refuse(norm, "only weightless RMSNorms may read the residual stream; fold norms first")
    products = [reader for norm in norms for reader in readers(graph, norm.name)]
    for product in products:
        if product.op != "linear":
            _refuse(product, "only products may read a normalized residual")
    return products


def _refuse(node: Node, reason: str) -> None:
    raise GraphError(f"the residual stream cannot be rotated: {reason}", where=node.name)
