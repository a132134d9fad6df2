"""A graph as text, one line a node, for people and for before/after tests."""

from __future__ import annotations

from vlmforge.dims import Shape
from vlmforge.graph.core import Graph, Node


def to_text(graph: Graph) -> str:
    """The graph's inputs, nodes and outputs as lines; weight values are not shown."""
    lines = [f"{graph.component}:"]
    lines += [f"  input {v.name}: {v.dtype}{_shape(v.shape)}" for v in graph.inputs.values()]
    lines += [f"  {_line(graph, node)}" for node in graph.nodes.values()]
    lines += [f"  output {name}" for name in graph.outputs]
    return "\n".join(lines) + "\n"


def _line(graph: Graph, node: Node) -> str:
    weights = [f"{role}={_shape(graph.weights[name].shape)}" for role, name in node.weights.items()]
    attrs = [f"{name}={value}" for name, value in node.attrs.items()]
    arguments = ", ".join([*node.inputs, *weights, *attrs])
    return f"{node.name}: {_shape(node.shape)} = {node.op}({arguments})"


def _shape(shape: Shape) -> str:
    return "[" + ", ".join(map(str, shape)) + "]"
