"""Follows values through nodes that only move rows, for rules that look across them."""

from __future__ import annotations

from collections.abc import Iterator

from vlmforge.graph.core import Graph, Node

MOVES = ("reshape", "gather_rows")
"""Operators that move values without changing them; the first input is the one moved."""


def readers(graph: Graph, name: str) -> Iterator[Node]:
    """The nodes that compute with the value, seen through the nodes that only move it."""
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
