"""Checks that a graph keeps the rules of its operators."""

from __future__ import annotations

from vlmforge.dims import is_dim
from vlmforge.errors import GraphError
from vlmforge.graph.core import Graph, Node, Value
from vlmforge.graph.ops import OPS, OpSpec


def verify(graph: Graph) -> None:
    """Raise :class:`GraphError` at the first node that breaks a rule.

    Values must be defined before use and once, weights must exist, attributes must be those of
    the operator, shapes must be of dimensions and follow from the inputs, cache names must be
    unique.
    """
    for value in graph.inputs.values():
        if not all(map(is_dim, value.shape)):
            raise GraphError(f"shape {value.shape} is not of dimensions", where=value.name)
    defined: dict[str, Value] = dict(graph.inputs)
    caches: set[str] = set()
    for node in graph.nodes.values():
        if node.name in defined:
            raise GraphError("a value is defined twice", where=node.name)
        spec = OPS.get(node.op)
        if spec is None:
            raise GraphError(f"unknown operator {node.op!r}", where=node.name)
        _verify_names(graph, node, spec, defined)
        _verify_shape(graph, node, spec, defined)
        _verify_cache(node, caches)
        defined[node.name] = node.value
    for name in graph.outputs:
        if name not in defined:
            raise GraphError(f"the output {name!r} is never produced", where=graph.component)


def _verify_names(graph: Graph, node: Node, spec: OpSpec, defined: dict[str, Value]) -> None:
    low, high = spec.inputs
    if not low <= len(node.inputs) <= high:
        raise GraphError(f"{node.op} takes {low} to {high} inputs", where=node.name)
    for name in node.inputs:
        if name not in defined:
            raise GraphError(f"reads {name!r} before it is defined", where=node.name)
    roles = set(node.weights)
    if not set(spec.required) <= roles <= {*spec.required, *spec.optional}:
        raise GraphError(f"{node.op} has no use for the weights {sorted(roles)}", where=node.name)
    for name in node.weights.values():
        if name not in graph.weights:
            raise GraphError(f"the weight {name!r} is missing", where=node.name)
    if not set(spec.attrs) <= set(node.attrs) <= {*spec.attrs, *spec.options}:
        wanted = ", ".join(spec.attrs) or "none"
        raise GraphError(f"{node.op} has the attributes {wanted}", where=node.name)


def _verify_shape(graph: Graph, node: Node, spec: OpSpec, defined: dict[str, Value]) -> None:
    weights = {role: graph.weights[name].shape for role, name in node.weights.items()}
    shape = spec.shape(node, [defined[name].shape for name in node.inputs], weights)
    if shape != node.shape:
        raise GraphError(f"shape {node.shape} should be {shape}", where=node.name)


def _verify_cache(node: Node, caches: set[str]) -> None:
    cache = node.attrs.get("cache")
    if cache is None:
        return
    if cache in caches:
        raise GraphError(f"the cache {cache!r} is used twice", where=node.name)
    caches.add(cache)
