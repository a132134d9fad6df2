"""Small transformers whose values are moved, joined and cut at random places."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass, field, replace
from functools import partial

import torch
from torch import Tensor

from vlmforge.dims import Dim, Shape, multiple
from vlmforge.graph.core import Graph, Node, Value, Weight
from vlmforge.graph.verify import verify

ROWS, WIDTH, HEAD = 24, 8, 4
WIDTHS = (4, 8, 12, 16, 24, 32)


@dataclass
class Builder:
    """Adds nodes to a graph; every value has ``ROWS * WIDTH`` elements or a product's."""

    rng: random.Random
    moves: float
    inputs: dict[str, Value] = field(default_factory=dict)
    nodes: dict[str, Node] = field(default_factory=dict)
    weights: dict[str, Weight] = field(default_factory=dict)
    feeds: dict[str, Tensor] = field(default_factory=dict)

    def feed(self, name: str, tensor: Tensor) -> str:
        if name not in self.inputs:
            dtype = str(tensor.dtype).removeprefix("torch.")
            self.inputs[name], self.feeds[name] = Value(name, tuple(tensor.shape), dtype), tensor
        return name

    def shape(self, name: str) -> tuple[int, int]:
        return (self.nodes.get(name) or self.inputs[name]).shape  # type: ignore[return-value]

    def add(
        self,
        op: str,
        *inputs: str,
        shape: tuple[int, ...] | None = None,
        weights: dict[str, Tensor] | None = None,
        **attrs: object,
    ) -> str:
        name = f"{op}_{len(self.nodes)}"
        held = {f"{name}.{role}": Weight.of(t) for role, t in (weights or {}).items()}
        self.weights |= held
        if op == "reshape":
            attrs = {"shape": list(shape or ())}
        roles = dict(zip(weights or {}, held, strict=True))
        self.nodes[name] = Node(name, op, inputs, shape or self.shape(inputs[0]), roles, attrs)
        return name

    def moved(self, name: str) -> str:
        """The value, or a reshape or a gather of it, or one after the other."""
        while self.rng.random() < self.moves:
            rows, width = self.shape(name)
            if self.rng.random() < 0.3:
                order = torch.randperm(rows, generator=torch.Generator().manual_seed(rows))
                name = self.add("gather_rows", name, self.feed(f"permutation_{rows}", order))
            else:
                fits = [w for w in WIDTHS if rows * width % w == 0]
                name = self.reshaped(name, self.rng.choice(fits))
        return name

    def reshaped(self, name: str, width: int) -> str:
        rows, before = self.shape(name)
        shape = (rows * before // width, width)
        return name if shape == (rows, before) else self.add("reshape", name, shape=shape)

    def linear(self, name: str, width: int) -> str:
        rows, features = self.shape(name)
        weights = {"weight": self.normal(width, features), "bias": self.normal(width)}
        return self.add("linear", name, shape=(rows, width), weights=weights)

    def norm(self, op: str, name: str) -> str:
        width = self.shape(name)[1]
        weights = {"weight": 1 + self.normal(width)}
        if op == "layer_norm":
            weights["bias"] = self.normal(width)
        return self.add(op, name, weights=weights, eps=1e-6)

    def normal(self, *shape: int) -> Tensor:
        generator = torch.Generator().manual_seed(len(self.weights))
        return torch.randn(*shape, generator=generator) / 3

    def joined(self, stream: str, name: str) -> str:
        """The sum of the stream and of a product of the value that has as many elements."""
        stream = self.moved(stream)
        total, (rows, width) = ROWS * WIDTH, self.shape(name)
        fewer = math.gcd(rows, total)
        product = self.linear(self.reshaped(name, rows * width // fewer), total // fewer)
        return self.add("add", stream, self.reshaped(product, self.shape(stream)[1]))

    def attention(self, name: str) -> str:
        query, key = (self.rope(self.linear(name, WIDTH)) for _ in range(2))
        value = self.moved(self.linear(name, WIDTH))
        value = self.reshaped(value, WIDTH)
        attrs = {"heads": 2, "kv_heads": 2, "head_dim": HEAD, "scale": 0.5}
        return self.add("attention", query, key, value, causal=False, cache=None, **attrs)

    def rope(self, name: str) -> str:
        rows = self.shape(name)[0]
        angles = torch.arange(rows)[:, None] * torch.ones(1, HEAD)
        turns = self.feed(f"turns_{rows}", torch.stack([angles.cos(), angles.sin()], 1))
        return self.add("rope", name, turns, head_dim=HEAD)

    def gated(self, name: str, width: int = 32) -> str:
        up, gate = self.linear(name, width), self.add("silu", self.linear(name, width))
        return self.add("mul", up, gate)


def grouped(graph: Graph) -> Graph:
    """The same graph with rows in groups, of which each sample has as many as it likes."""
    shapes = [graph.value(name).shape for name in (*graph.inputs, *graph.nodes)]
    unit = math.gcd(*(rows for rows, *_ in shapes if isinstance(rows, int)))

    def shape(rows: Dim, *rest: Dim) -> Shape:
        assert isinstance(rows, int)
        return (multiple(rows // unit, "groups"), *rest)

    def node_of(node: Node) -> Node:
        attrs = {"shape": list(shape(*node.shape))} if node.op == "reshape" else node.attrs
        return replace(node, shape=shape(*node.shape), attrs=attrs)

    inputs = {name: replace(v, shape=shape(*v.shape)) for name, v in graph.inputs.items()}
    return replace(graph, inputs=inputs, nodes={n: node_of(v) for n, v in graph.nodes.items()})


def random_graph(seed: int, moves: float = 0.12) -> tuple[Graph, dict[str, Tensor]]:
    """A graph and its feeds; ``moves`` is how likely a value is moved where it is read."""
    rng = random.Random(seed)
    build = Builder(rng, moves)
    image = torch.randn(ROWS, 6, generator=torch.Generator().manual_seed(seed))
    stream = build.linear(build.feed("images", image), WIDTH)
    norm = partial(build.norm, rng.choice(["rms_norm", "layer_norm"]))
    for _ in range(2):
        for part in (build.attention, build.gated):
            normed = build.moved(norm(build.moved(stream)))
            stream = build.joined(stream, build.moved(part(normed)))
    head = build.linear(build.moved(norm(build.moved(stream))), WIDTH)
    named = list(build.nodes)
    extra = (rng.choice(named),) if rng.random() < moves else ()
    outputs = tuple(dict.fromkeys((head, *extra)))
    graph = Graph("vision", build.inputs, build.nodes, outputs, build.weights)
    verify(graph)
    return graph, build.feeds
