"""The role each product plays in its transformer, found from how the values flow."""

from __future__ import annotations

from vlmforge.errors import GraphError
from vlmforge.graph.core import Graph, Node
from vlmforge.graph.flow import readers, source
from vlmforge.graph.ops import NORMS, PRODUCTS

ROLES = ("query", "key", "value", "output", "ffn", "head")


def product_roles(graph: Graph) -> dict[str, str]:
    """Product name to one of :data:`ROLES`.

    The products an attention's operands come from, through norms and ropes, are ``query``, ``key``
    and ``value``; those that read the attention are ``output``; one that gives an output of the
    graph is ``head``; any other is ``ffn``.

    Raises:
        GraphError: an attention's operand comes from no product, so its role is unknown.
    """
    products = [node for node in graph.nodes.values() if node.op in PRODUCTS]
    roles = {node.name: "ffn" for node in products}
    for node in graph.nodes.values():
        if node.op == "attention":
            roles |= _around(graph, node)
    outputs = [source(graph, name) for name in graph.outputs]
    return roles | {node.name: "head" for node in outputs if node and node.op in PRODUCTS}


def _around(graph: Graph, attention: Node) -> dict[str, str]:
    operands = zip(("query", "key", "value"), attention.inputs, strict=False)
    roles = {_product_of(graph, attention, role, name): role for role, name in operands}
    outputs = [node.name for node in readers(graph, attention.name) if node.op in PRODUCTS]
    return roles | dict.fromkeys(outputs, "output")


def _product_of(graph: Graph, attention: Node, role: str, name: str) -> str:
    node = source(graph, name)
    while node is not None and node.op in ("rope", *NORMS):
        node = source(graph, node.inputs[0])
    if node is None or node.op not in PRODUCTS:
        found = "an input" if node is None else f"{node.name} ({node.op})"
        raise GraphError(
            f"its {role} comes from {found}, so the role of the products before is unknown",
            where=attention.name,
        )
    return node.name
