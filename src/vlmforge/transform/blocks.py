"""Finds the products around attention and gated MLPs, or says which node stands in the way."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TypeVar

from vlmforge.errors import GraphError
from vlmforge.graph.core import Graph, Node
from vlmforge.graph.flow import is_output, row_readers, row_source, source
from vlmforge.graph.ops import NORMS

Part = TypeVar("Part")

Aside = dict[str, str]
"""Node to the reason why a transformation leaves the part around it as it is."""


@dataclass(frozen=True)
class ValuePath:
    """The values of one attention: ``output(attention(..., value(x)))``."""

    value: Node
    attention: Node
    output: Node


@dataclass(frozen=True)
class KeyPath:
    """Queries and keys of one attention.

    Attributes:
        query, key: a product or the norm of one, the last node before RoPE.
        query_rope, key_rope: the RoPE between it and the attention, if there is one.
        attention: what reads both.
    """

    query: Node
    query_rope: Node | None
    key: Node
    key_rope: Node | None
    attention: Node

    @property
    def operands(self) -> tuple[str, str]:
        """The query and the key as the attention reads them."""
        return self.attention.inputs[0], self.attention.inputs[1]


@dataclass(frozen=True)
class GatedMLP:
    """``down(gate * up)``.

    Attributes:
        up: the factor that is linear.
        product: the multiplication.
        rotation: the ``hadamard`` between it and ``down``, if there is one.
        down: the product that reads it.
    """

    up: Node
    product: Node
    rotation: Node | None
    down: Node


def attentions(graph: Graph) -> list[Node]:
    """The attention nodes of the graph."""
    return [node for node in graph.nodes.values() if node.op == "attention"]


def value_paths(graph: Graph, aside: Aside | None = None) -> list[ValuePath]:
    """The value path of every attention.

    Args:
        graph: to look at.
        aside: takes what stands in the way of a path, which is then passed over.

    Raises:
        GraphError: values do not come straight from a product of their own, something other than
            one product reads the attention, or rows are cut or joined between them.
    """
    return each_part(graph, attentions(graph), _value_path, aside)


def key_paths(graph: Graph, aside: Aside | None = None) -> list[KeyPath]:
    """The query and key path of every attention; ``aside`` as of :func:`value_paths`.

    Raises:
        GraphError: queries or keys are not a product, its norm, or a RoPE of these, that nothing
            else reads, or it turns heads of another size.
    """
    return each_part(graph, attentions(graph), _key_path, aside)


def plain_key_paths(graph: Graph, aside: Aside | None = None) -> list[KeyPath]:
    """The :func:`key_paths` whose queries and keys no norm changes on their way to RoPE."""
    return each_part(graph, attentions(graph), _plain_key_path, aside)


def gated_mlps(graph: Graph, aside: Aside | None = None) -> list[GatedMLP]:
    """Every gated MLP of the graph; other multiplications are passed over, and those ``aside``.

    Raises:
        GraphError: something besides one product reads the gated value or cuts its rows, or
            besides the multiplication the linear factor.
    """
    gated = [node for node in graph.nodes.values() if _linear_factor(graph, node) is not None]
    return each_part(graph, gated, _gated_mlp, aside)


def each_part(
    graph: Graph,
    nodes: Iterable[Node],
    rule: Callable[[Graph, Node], Part],
    aside: Aside | None,
) -> list[Part]:
    """What a rule finds at each node; its refusals go to ``aside``, or are raised without it."""
    found = []
    for node in nodes:
        try:
            found.append(rule(graph, node))
        except GraphError as error:
            if aside is None:
                raise
            aside[str(error.where)] = error.what
    return found


def _key_path(graph: Graph, attention: Node) -> KeyPath:
    query_rope, query = _turned(graph, attention, 0)
    key_rope, key = _turned(graph, attention, 1)
    return KeyPath(query, query_rope, key, key_rope, attention)


def _plain_key_path(graph: Graph, attention: Node) -> KeyPath:
    path = _key_path(graph, attention)
    if {path.query.op, path.key.op} != {"linear"}:
        raise GraphError("its queries and keys are normalized first", where=attention.name)
    return path


def _linear_factor(graph: Graph, node: Node) -> Node | None:
    """The factor of a multiplication that is a product's output; the last if both are."""
    factors = [graph.nodes.get(name) for name in node.inputs] if node.op == "mul" else []
    linear = [node for node in factors if node is not None and node.op == "linear"]
    return linear[-1] if linear else None


def _gated_mlp(graph: Graph, product: Node) -> GatedMLP:
    up = _linear_factor(graph, product)
    assert up is not None, "only multiplications with a linear factor are looked at"
    _require_alone(graph, up, product)
    rotation = _only_hadamard(graph, product)
    return GatedMLP(up, product, rotation, _only_product(graph, rotation or product))


def _value_path(graph: Graph, attention: Node) -> ValuePath:
    value = row_source(graph, attention.inputs[2])
    if value is None or value.op != "linear":
        raise GraphError("its values do not come from a product", where=attention.name)
    _require_alone(graph, value, attention)
    return ValuePath(value, attention, _only_product(graph, attention))


def _turned(graph: Graph, attention: Node, operand: int) -> tuple[Node | None, Node]:
    """The RoPE of a query or key, if it has one, and what it turns."""
    rope = graph.nodes.get(attention.inputs[operand])
    if rope is None or rope.op != "rope":
        return None, _written(graph, attention, operand)
    if rope.attrs["head_dim"] != attention.attrs["head_dim"]:
        raise GraphError(f"it turns other heads than {attention.name} has", where=rope.name)
    _require_alone(graph, rope, attention)
    return rope, _written(graph, rope, 0)


def _written(graph: Graph, reader: Node, operand: int) -> Node:
    """The product, or the norm, whose output alone a node reads."""
    node = graph.nodes.get(reader.inputs[operand])
    if node is None or node.op not in ("linear", *NORMS):
        what = f"{reader.op} does not read the output of a product or norm"
        raise GraphError(what, where=reader.name)
    _require_alone(graph, node, reader)
    return node


def _only_hadamard(graph: Graph, node: Node) -> Node | None:
    reading = list(row_readers(graph, node.name))
    alone = [reader.op for reader in reading] == ["hadamard"] and not is_output(graph, node.name)
    return reading[0] if alone and reading[0].shape[-1] == node.shape[-1] else None


def _only_product(graph: Graph, node: Node) -> Node:
    reading = list(row_readers(graph, node.name))
    if is_output(graph, node.name) or [reader.op for reader in reading] != ["linear"]:
        names = ", ".join(reader.name for reader in reading) or "the caller"
        raise GraphError(f"one product should read it, not {names}", where=node.name)
    return reading[0]


def _require_alone(graph: Graph, node: Node, reader: Node) -> None:
    others = [each for each in row_readers(graph, node.name) if each.name != reader.name]
    if others or is_output(graph, node.name):
        names = ", ".join(each.name for each in others) or "the caller"
        raise GraphError(f"{names} reads it as well as {reader.name}", where=node.name)
    origins = [source(graph, name) for name in reader.inputs]
    if sum(origin is not None and origin.name == node.name for origin in origins) > 1:
        raise GraphError(f"{reader.name} reads it twice", where=node.name)
