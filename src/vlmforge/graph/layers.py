"""Layers: the runs of nodes that a transformer repeats."""

from __future__ import annotations

from bisect import bisect_left

from vlmforge.graph.core import Graph, Node
from vlmforge.graph.residual import residual


def layers(graph: Graph) -> list[list[Node]]:
    """The layers of a transformer; none where there is no residual stream.

    A layer begins where the residual stream is read for its attention, and ends with the last
    addition to the stream before that of the next.
    """
    stream = residual(graph)
    nodes = list(graph.nodes.values())
    position = {node.name: index for index, node in enumerate(nodes)}
    additions = [i for i, n in enumerate(nodes) if n.op == "add" and n.name in stream.values]
    attentions = [i for i, n in enumerate(nodes) if n.op == "attention"]
    if not additions or not attentions:
        return []
    start = min(position[node.name] for node in stream.readers)
    last = [additions[bisect_left(additions, index) - 1] for index in attentions[1:]]
    ends = [index + 1 for index in [*last, additions[-1]]]
    return [nodes[a:b] for a, b in zip([start, *ends], ends, strict=False)]
