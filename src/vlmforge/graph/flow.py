"""Follows values through nodes that only move rows, for rules that look across them."""

from __future__ import annotations

from collections.abc import Iterator

from vlmforge.dims import quotient
from vlmforge.graph.core import Graph, Node
from vlmforge.graph.ops import MOVES


def readers(graph: Graph, name: str) -> Iterator[Node]:
    """The nodes that compute with the value, seen through the nodes that only move it.

    For rules to which every number counts by itself. Rules about channels use
    :func:`row_readers`.
    """
    for node in graph.consumers(name):
        if node.op in MOVES and node.inputs[0] == name:
            yield from readers(graph, node.name)
        else:
            yield node


def source(graph: Graph, name: str) -> Node | None:
    """The node that computed the value, seen through moves; None for a graph input."""
    while name in graph.nodes:
        node = graph.nodes[name]
        if node.op not in MOVES:
            return node
        name = node.inputs[0]
    return None


def row_readers(graph: Graph, name: str) -> Iterator[Node]:
    """The nodes that compute with the value's rows, seen through moves that leave them whole.

    What reads through such moves has the value's channels, or several rows of them side by side.
    A move that cuts rows is a reader itself.
    """
    for node in graph.consumers(name):
        if node.inputs[0] == name and keeps_rows(graph, node):
            yield from row_readers(graph, node.name)
        else:
            yield node


def row_source(graph: Graph, name: str) -> Node | None:
    """The node whose rows the value has, neither cut nor joined; None for a graph input."""
    return graph.nodes.get(row_origin(graph, name))


def row_origin(graph: Graph, name: str) -> str:
    """The node or graph input whose rows the value has, neither cut nor joined."""
    while name in graph.nodes:
        node = graph.nodes[name]
        if node.op not in MOVES or rows_joined(graph, node) != 1:
            break
        name = node.inputs[0]
    return name


def keeps_rows(graph: Graph, node: Node) -> bool:
    """Whether the node only moves rows, each whole."""
    return node.op in MOVES and rows_joined(graph, node) > 0


def rows_joined(graph: Graph, move: Node) -> int:
    """How many rows of its input a row of the move holds side by side; 0 where it cuts rows."""
    shape = graph.value(move.inputs[0]).shape
    if not shape or not move.shape or (move.op == "gather_rows" and len(shape) == 1):
        return 0
    return quotient(move.shape[-1], shape[-1]) or 0


def is_output(graph: Graph, name: str) -> bool:
    """Whether the caller receives the value, as it is or moved."""
    moved = (n for n in graph.consumers(name) if n.op in MOVES and n.inputs[0] == name)
    return name in graph.outputs or any(is_output(graph, node.name) for node in moved)
