"""Finds the residual stream of a transformer: what is both normalized and added to."""

from __future__ import annotations

from dataclasses import dataclass

from vlmforge.errors import GraphError
from vlmforge.graph.core import Graph, Node
from vlmforge.graph.flow import keeps_rows, readers, row_origin
from vlmforge.graph.ops import NORMS, PRODUCTS

STREAM_INPUTS = "stream_inputs"
"""In a graph's ``meta``: names of float32 inputs that the caller gives in the stream's basis."""


@dataclass(frozen=True)
class Residual:
    """The residual stream of a graph.

    Attributes:
        values: names of the values that are the stream, in topological order. Moves may lay its
            rows side by side; one that cuts them is a reader.
        writers: the nodes whose output becomes part of the stream.
        inputs: the graph inputs that become part of it: where it begins, or added later.
        readers: the nodes that compute with the stream, additions to it aside.
    """

    values: tuple[str, ...]
    writers: tuple[Node, ...]
    inputs: tuple[str, ...]
    readers: tuple[Node, ...]


def residual(graph: Graph) -> Residual:
    """The residual stream; empty where nothing is both normalized and added to.

    Raises:
        GraphError: an input is added to the stream that the graph does not name in
            :data:`STREAM_INPUTS`.
    """
    stream: dict[str, None] = {}
    writers: dict[str, Node] = {}
    inputs: dict[str, None] = {}
    for name in _starts(graph):
        stream[name] = None
        if name in graph.nodes:
            writers[name] = graph.nodes[name]
        else:
            inputs[name] = None
    for node in graph.nodes.values():
        if node.op == "add" and (
            any(name in stream for name in node.inputs) or _is_stream(graph, node.name)
        ):
            stream[node.name] = None
            for name in node.inputs:
                if name in stream:
                    continue
                if (given := row_origin(graph, name)) in graph.nodes:
                    writers[name] = graph.nodes[name]
                else:
                    inputs[_added(graph, node, given)] = None
        elif keeps_rows(graph, node) and node.inputs[0] in stream:
            stream[node.name] = None
    reading = [
        node
        for node in graph.nodes.values()
        if node.name not in stream and any(name in stream for name in node.inputs)
    ]
    return Residual(tuple(stream), tuple(writers.values()), tuple(inputs), tuple(reading))


def _added(graph: Graph, addition: Node, name: str) -> str:
    if name not in graph.meta.get(STREAM_INPUTS, ()):
        raise GraphError(
            f"adds the graph input {name!r} to the residual stream", where=addition.name
        )
    return name


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
    return [name for name in values if _is_stream(graph, name)]


def _is_stream(graph: Graph, name: str) -> bool:
    """Whether a value is both normalized and added to."""
    operators = {node.op for node in readers(graph, name)}
    return "add" in operators and bool(operators & {*NORMS})
