"""Which integer type carries each value."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable

from vlmforge.errors import ConfigError
from vlmforge.graph.core import Graph, Node
from vlmforge.graph.flow import readers, source
from vlmforge.graph.ops import ACTIVATIONS, MOVES, PRODUCTS, TABLES


def assign_codes(
    graph: Graph, wide_nodes: Iterable[str], narrow: Collection[str] = ()
) -> dict[str, str]:
    """The dtype of every value of the program: int8, int16, or float32 and int64 at the edges.

    A value read only by products and attention is int8, every other one int16. Two exceptions
    are int16 as well: what is :func:`narrowable` unless it is among ``narrow``, and what
    ``wide_nodes`` name: a product's input, any other node's output.

    Raises:
        ConfigError: a name that is no node, or one whose value attention needs as int8.
    """
    wide_nodes = tuple(wide_nodes)
    require_nodes(graph, wide_nodes)
    wide = {_wide_value(graph, name) for name in wide_nodes}
    wide |= {name for name in narrowable(graph) if name not in narrow}
    codes = {name: _input_code(graph, name, wide) for name in graph.inputs}
    for node in graph.nodes.values():
        codes[node.name] = _node_code(graph, node, codes, wide)
    return codes


def require_nodes(graph: Graph, names: Iterable[str]) -> None:
    """Raise :class:`ConfigError` at the first name that is no node, with the nearest one."""
    for name in names:
        if name not in graph.nodes:
            near = difflib.get_close_matches(name, graph.nodes, n=1)
            hint = (
                f"did you mean {near[0]!r}?"
                if near
                else "`vlmforge inspect MODEL.mblt` lists the names"
            )
            raise ConfigError(f"the {graph.component} graph has no node {name!r}", mend=hint)


def product_inputs(graph: Graph) -> set[str]:
    """Names of the values a product reads, seen through moves."""
    nodes = graph.nodes.values()
    return {_moved_from(graph, node.inputs[0]) for node in nodes if node.op in PRODUCTS}


def narrowable(graph: Graph) -> list[str]:
    """Values that are int16 by default though only products read them.

    What the last products read comes first: no later norm or softmax dampens its error, and for a
    language model it is few rows. Then come outputs of gated MLPs, which multiply two wide
    distributions; their peaks are the largest of the network.
    """
    return [*last_inputs(graph), *(node.name for node in gated_products(graph))]


def last_inputs(graph: Graph) -> list[str]:
    """Inputs of the products that give outputs of the graph, where only products read them."""
    found = (source(graph, name) for name in graph.outputs)
    inputs = (_moved_from(graph, n.inputs[0]) for n in found if n and n.op in PRODUCTS)
    return [
        name
        for name in dict.fromkeys(inputs)
        if name in graph.nodes and all(r.op in PRODUCTS for r in readers(graph, name))
    ]


def gated_products(graph: Graph) -> list[Node]:
    """The outputs of gated MLPs that only products read, rotated or not."""
    found = (node for node in graph.nodes.values() if node.op in ("mul", "hadamard"))
    return [n for n in found if all(r.op in PRODUCTS for r in readers(graph, n.name))]


def one_sided(graph: Graph) -> set[str]:
    """Names of product inputs that go far up and hardly down: outputs of activation functions."""
    inputs = product_inputs(graph) - attention_operands(graph)
    return {node.name for node in graph.nodes.values() if node.op in ACTIVATIONS} & inputs


def attention_operands(graph: Graph) -> set[str]:
    """Names of the values that are an attention's q, k or v."""
    nodes = graph.nodes.values()
    return {name for node in nodes if node.op == "attention" for name in node.inputs[:3]}


def _node_code(graph: Graph, node: Node, codes: dict[str, str], wide: set[str]) -> str:
    if node.op in MOVES:
        return codes[node.inputs[0]]
    if node.op in TABLES or node.name in graph.outputs:
        return "float32"
    return _code(graph, node.name, wide)


def _input_code(graph: Graph, name: str, wide: set[str]) -> str:
    dtype = graph.inputs[name].dtype
    return dtype if dtype != "float32" else _code(graph, name, wide)


def _code(graph: Graph, name: str, wide: set[str]) -> str:
    narrow = all(node.op in (*PRODUCTS, "attention") for node in readers(graph, name))
    return "int8" if narrow and name not in wide else "int16"


def _wide_value(graph: Graph, name: str) -> str:
    node = graph.nodes[name]
    value = node.inputs[0] if node.op in PRODUCTS else name
    value = _rotated(graph, _moved_from(graph, value))
    if value in attention_operands(graph):
        raise ConfigError(
            f"{name!r} cannot be int16: attention takes its operands as int8",
            mend="remove it from layerOverrides.activation16Bits",
        )
    return value


def _rotated(graph: Graph, name: str) -> str:
    """What the products read of a gated MLP that is rotated on its way to them."""
    reading = [node for node in readers(graph, name) if node.op == "hadamard"]
    return reading[0].name if reading else name


def _moved_from(graph: Graph, name: str) -> str:
    while name in graph.nodes and graph.nodes[name].op in MOVES:
        name = graph.nodes[name].inputs[0]
    return name
