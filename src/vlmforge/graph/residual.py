"""Finds the residual stream of a transformer: what is both normalized and added to."""

from __future__ import annotations

from dataclasses import dataclass

from vlmforge.errors import GraphError
from vlmforge.graph.core import Graph, Node
from vlmforge.graph.flow import keeps_rows, readers
from vlmforge.graph.ops import NORMS, PRODUCTS


@dataclass(frozen=True)
class Residual:
    """The residual stream of a graph.

    Attributes:
        values: names of the values that are the stream, in topological order. Moves may lay its
            rows side by side; one that cuts them is a reader.
        writers: the nodes whose output becomes part of the stream.
        readers: the nodes that compute with the stream, additions to it aside.
    """

    values: tuple[str, ...]
    writers: tuple[Node, ...]
    readers: tuple[Node, ...]


def residual(graph: Graph) -> Residual:
    """The residual stream; empty where nothing is both normalized and added to.

    Raises:
        GraphError: something that no node computes is added to the stream.
    """
    stream: dict[str, None] = {}
    writers: dict[str, Node] = {}
    for name in _starts(graph):
        stream[name] = None
        if name in graph.nodes:
            writers[name] = graph.nodes[name]
    for node in graph.nodes.values():
        if node.op == "add" and any(name in stream for name in node.inputs):
            stream[node.name] = None
            written = [name for name in node.inputs if name not in stream]
            writers |= {name: _writer(graph, node, name) for name in written}
        elif keeps_rows(graph, node) and node.inputs[0] in stream:
            stream[node.name] = None
    reading = [
        node
        for node in graph.nodes.values()
        if node.name not in stream and any(name in stream for name in node.inputs)
    ]
    return Residual(tuple(stream), tuple(writers.values()), tuple(reading))


def _writer(graph: Graph, addition: Node, name: str) -> Node:
    if name not in graph.nodes:
        raise GraphError(
            f"adds the graph input {name!r} to the residual stream", where=addition.name
        )
    return graph.nodes[name]


def stream_width(graph: Graph) -> int:
    """Channels of the residual stream; 0 for a graph without one."""
    stream = residual(graph).values
    width = graph.value(stream[0]).shape[-1] if stream else 0
    assert isinstance(width, int)  # channels are never dynamic
    return width


def _starts(graph: Graph) -> list[str]:
    """Values that enter the stream as they are: graph inputs and products such as an embedding."""
    values = [name for name, value in graph.inputs.items() if value.dtype == "float32"]
    values += [n.name for n in graph.nodes.values() if n.op in PRODUCTS]
    operators = {name: {node.op for node in readers(graph, name)} for name in values}
    return [name for name in values if "add" in operators[name] and operators[name] & {*NORMS}]
