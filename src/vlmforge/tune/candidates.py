"""Candidate: one thing that can be given more bits, what that costs, and what it saves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from vlmforge.graph.core import Graph, Node
from vlmforge.graph.flow import readers
from vlmforge.graph.ops import PRODUCTS
from vlmforge.tune.component import Component
from vlmforge.tune.trial import Trial


@dataclass(frozen=True)
class Cost:
    """What a token, or an image, costs: ``products`` int8 multiplications, ``bytes`` of weights."""

    products: float = 0.0
    bytes: float = 0.0

    def __add__(self, other: Cost) -> Cost:
        return Cost(self.products + other.products, self.bytes + other.bytes)

    def relative(self, whole: Cost) -> float:
        """Mean of both shares of ``whole``."""
        return (self.products / whole.products + self.bytes / whole.bytes) / 2


@dataclass(frozen=True)
class Candidate:
    """A value that may be int16, or a product whose weight may be int8 instead of int4.

    Attributes:
        component: ``"language"`` or ``"vision"``.
        kind: which of both.
        name: of the value or product.
        setting: the name a configuration lists.
        cost: what widening adds.
    """

    component: str
    kind: Literal["activation", "weight"]
    name: str
    setting: str
    cost: Cost

    def trial(self, component: Component) -> Trial:
        """This alone rounded as it is without being widened."""
        if self.kind == "activation":
            return Trial(grids={self.name: component.grids(())[self.name]})
        return Trial(formats={self.name: component.formats()[self.name]})


def find_candidates(component: Component) -> list[Candidate]:
    """Everything in a component that can be widened, in the graph's order."""
    graph = component.graph
    values = [
        Candidate(
            graph.component, "activation", name, component.overrides([name])[0],
            Cost(products=sum(_products(graph, reader) for reader in _readers(graph, name))),
        )
        for name in component.widenable()
    ]  # fmt: skip
    weights = [
        Candidate(
            graph.component, "weight", name, name,
            Cost(bytes=_bytes(graph, graph.nodes[name], 8) - _bytes(graph, graph.nodes[name], 4)),
        )
        for name, form in component.formats().items()
        if form.bits == 4
    ]  # fmt: skip
    return [*values, *weights]


def whole_cost(component: Component) -> Cost:
    """What a component costs with nothing widened, a row."""
    formats, total = component.formats(), Cost()
    for name, form in formats.items():
        node = component.graph.nodes[name]
        total += Cost(_products(component.graph, node), _bytes(component.graph, node, form.bits))
    return total


def _readers(graph: Graph, name: str) -> list[Node]:
    return [node for node in readers(graph, name) if node.op in PRODUCTS]


def _products(graph: Graph, node: Node) -> float:
    shape = graph.weights[node.weights["weight"]].shape
    size = 1.0
    for dim in shape:
        size *= dim
    return size


def _bytes(graph: Graph, node: Node, bits: int) -> float:
    return _products(graph, node) * bits / 8
