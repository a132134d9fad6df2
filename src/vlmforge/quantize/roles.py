"""The role each product plays in its transformer, found from how the values flow."""

from __future__ import annotations

from vlmforge.graph.core import Graph, Node
from vlmforge.graph.flow import readers, source
from vlmforge.graph.ops import PRODUCTS

ROLES = ("query", "key", "value", "output", "ffn", "head")


def product_roles(graph: Graph) -> dict[str, str]:
    """Product name to one of :data:`ROLES`.

    The products an attention's operands come from are ``query``, ``key`` and ``value``; those
    that read the attention are ``output``; one that gives an output of the graph is ``head``;
    any other is ``ffn``.
    """
    products = [node for node in graph.nodes.values() if node.op in PRODUCTS]
    roles = {node.name: "ffn" for node in products}
    for node in graph.nodes.values():
        if node.op == "attention":
            roles |= _around(graph, node)
    outputs = [source(graph, name) for name in graph.outputs]
    return roles | {node.name: "head" for node in outputs if node and node.op in PRODUCTS}


def _around(graph: Graph, attention: Node) -> dict[str, str]:
    roles = {}
    for role, name in zip(("query", "key", "value"), attention.inputs, strict=False):
        node = source(graph, name)
        while node is not None and node.op == "rope":
            node = source(graph, node.inputs[0])
        if node is not None and node.op in PRODUCTS:
            roles[node.name] = role
    outputs = [node.name for node in readers(graph, attention.name) if node.op in PRODUCTS]
    return roles | dict.fromkeys(outputs, "output")
