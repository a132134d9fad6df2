"""Untying: every node gets weights of its own, so that changing one product changes no other.

Weights are lazy, so a copy under another name costs nothing. Tied embeddings are untied by
capture already: the embedding is not part of the graph, and ``lm_head`` is.
"""

from __future__ import annotations

from dataclasses import replace

from vlmforge.graph.core import Graph, Node, Weight


def untie(graph: Graph) -> Graph:
    """The graph in which no two nodes read one weight."""
    taken: set[str] = set()
    copies: dict[str, Weight] = {}

    def own(node: Node, role: str, name: str) -> str:
        if name in taken:
            copies[f"{node.name}.{role}"] = graph.weights[name]
            name = f"{node.name}.{role}"
        taken.add(name)
        return name

    nodes = [
        replace(node, weights={role: own(node, role, name) for role, name in node.weights.items()})
        for node in graph.nodes.values()
    ]
    return graph.with_nodes(nodes, copies)
