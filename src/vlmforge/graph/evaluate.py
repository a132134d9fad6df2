"""Evaluates a graph in floating point with torch, the meaning every other form must keep."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from vlmforge.arithmetic.activations import activation
from vlmforge.arithmetic.attention import Operands, attention, causal, whole
from vlmforge.arithmetic.hadamard import hadamard_transform
from vlmforge.arithmetic.norms import layer_norm, rms_norm
from vlmforge.arithmetic.products import linear
from vlmforge.dims import bind, resolve
from vlmforge.graph.core import Graph, Node

Values = dict[str, Tensor]
Weights = dict[str, Tensor]

OUTPUT_ROWS = 8192
"""Rows of a product's weight held in memory at once."""


@dataclass
class FloatCache:
    """Keys and values of earlier tokens, ``[past, kv_heads * head_dim]`` each, by cache name."""

    entries: dict[str, tuple[Tensor, Tensor]] = field(default_factory=dict)

    def append(self, name: str, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
        """Keys and values of all tokens so far."""
        if name in self.entries:
            past_key, past_value = self.entries[name]
            key, value = torch.cat([past_key, key]), torch.cat([past_value, value])
        self.entries[name] = (key, value)
        return key, value


def evaluate(
    graph: Graph,
    feeds: Mapping[str, Tensor],
    cache: FloatCache | None = None,
    observe: Callable[[str, Tensor], None] | None = None,
) -> Values:
    """Run the whole graph on one sample.

    Args:
        graph: a verified graph.
        feeds: a tensor for every graph input.
        cache: keys and values of earlier tokens, extended in place.
        observe: called with each value's name and tensor as it is produced.

    Returns:
        The graph's outputs by name, float32; float64 if all weights and float feeds are.
    """

    def value_of(node: Node, values: Values) -> Tensor:
        value = apply(graph, node, values, cache)
        if observe is not None:
            observe(node.name, value)
        return value

    return traverse(graph, feeds, value_of)


def traverse(
    graph: Graph, feeds: Mapping[str, Tensor], value_of: Callable[[Node, Values], Tensor]
) -> Values:
    """The graph's outputs if ``value_of`` gives each node's value from those before it.

    Values nobody reads any more are let go.
    """
    values: Values = dict(feeds)
    ends = last_uses(graph)
    for position, node in enumerate(graph.nodes.values()):
        values[node.name] = value_of(node, values)
        for name in node.inputs:
            if ends[name] == position:
                values.pop(name, None)
    return {name: values[name] for name in graph.outputs}


def run_nodes(
    nodes: Sequence[Node], values: Mapping[str, Tensor], value_of: Callable[[Node, Values], Tensor]
) -> Tensor:
    """The value of the last of some nodes, given those that they read from outside."""
    known = dict(values)
    for node in nodes:
        known[node.name] = value_of(node, known)
    return known[nodes[-1].name]


def last_uses(graph: Graph) -> dict[str, int]:
    """The position of the last node that reads each value; outputs are never released."""
    uses = {name: i for i, node in enumerate(graph.nodes.values()) for name in node.inputs}
    return {**uses, **dict.fromkeys(graph.outputs, len(graph.nodes))}


@torch.no_grad()
def apply(
    graph: Graph,
    node: Node,
    values: Mapping[str, Tensor],
    cache: FloatCache | None = None,
    *,
    rounded: bool = False,
) -> Tensor:
    """The value of one node, in the dtype of its weights on the device of its inputs.

    ``rounded`` is that of :func:`vlmforge.arithmetic.products.product`, of every product.
    """
    return compute(graph, node, values, cache, rounded=rounded)


def compute(
    graph: Graph,
    node: Node,
    values: Mapping[str, Tensor],
    cache: FloatCache | None = None,
    *,
    rounded: bool = False,
) -> Tensor:
    """As :func:`apply`; gradients pass to the values, and to weights that ask for them."""
    inputs = [values[name] for name in node.inputs]
    if node.op in _PRODUCTS:
        return _PRODUCTS[node.op](graph, node, inputs[0], rounded)
    if node.op == "attention":
        return _attention(node, inputs, cache, rounded)
    if node.op == "reshape":
        return _reshape(graph, node, inputs[0])
    device = next(iter(values.values())).device
    weights = {role: graph.weights[name].load().to(device) for role, name in node.weights.items()}
    return _OPERATORS[node.op](node, inputs, weights)


def _conv2d(graph: Graph, node: Node, x: Tensor, rounded: bool) -> Tensor:
    _, kernel_h, kernel_w, _ = graph.weights[node.weights["weight"]].shape
    return _linear(graph, node, patches(x, kernel_h, kernel_w), rounded)


def _linear(graph: Graph, node: Node, x: Tensor, rounded: bool) -> Tensor:
    weight, bias = graph.weights[node.weights["weight"]], graph.weight(node, "bias")
    blocks = []
    for start in range(0, weight.shape[0], OUTPUT_ROWS):
        stop = min(start + OUTPUT_ROWS, weight.shape[0])
        rows = weight.read(start, stop).to(x.device).flatten(1)
        added = bias.read(start, stop).to(x.device) if bias else None
        blocks.append(linear(x, rows, added, rounded=rounded))
    return blocks[0] if len(blocks) == 1 else torch.cat(blocks, dim=-1)


def patches(image: Tensor, kernel_h: int, kernel_w: int) -> Tensor:
    """Cut ``[H, W, C]`` into rows ``[H/kh * W/kw, kh * kw * C]``, elements ordered (y, x, c)."""
    height, width, channels = image.shape
    grid = image.reshape(height // kernel_h, kernel_h, width // kernel_w, kernel_w, channels)
    return grid.transpose(1, 2).reshape(-1, kernel_h * kernel_w * channels)


def _reshape(graph: Graph, node: Node, x: Tensor) -> Tensor:
    sizes = bind(graph.value(node.inputs[0]).shape, x.shape, {})
    return x.reshape(resolve(node.shape, sizes))


def _rms_norm(node: Node, inputs: list[Tensor], weights: Weights) -> Tensor:
    x, gain = inputs[0], weights.get("weight")
    groups = x.unflatten(-1, (-1, node.attrs.get("group", x.shape[-1])))
    y = rms_norm(groups, node.attrs["eps"]).flatten(-2)
    return y if gain is None else y * gain


def _layer_norm(node: Node, inputs: list[Tensor], weights: Weights) -> Tensor:
    y = layer_norm(inputs[0], node.attrs["eps"])
    y = y * weights["weight"] if "weight" in weights else y
    return y + weights["bias"] if "bias" in weights else y


def _rope_lookup(node: Node, inputs: list[Tensor], weights: Weights) -> Tensor:
    return torch.stack([_sections(weights[t], inputs[0], node) for t in ("cos", "sin")], dim=1)


def _sections(table: Tensor, positions: Tensor, node: Node) -> Tensor:
    columns = table.split(node.attrs["sections"], dim=1)
    half = torch.cat([part[positions[i % 3]] for i, part in enumerate(columns)], dim=1)
    return torch.cat([half, half], dim=1)


def _rope(node: Node, inputs: list[Tensor], weights: Weights) -> Tensor:
    x, rows = inputs
    heads = x.reshape(len(x), -1, node.attrs["head_dim"])
    first, second = heads.chunk(2, dim=-1)
    rotated = torch.cat([-second, first], dim=-1)
    return (heads * rows[:, :1] + rotated * rows[:, 1:]).reshape(x.shape)


def _attention(node: Node, inputs: list[Tensor], cache: FloatCache | None, rounded: bool) -> Tensor:
    query, key, value, *sees = inputs
    past = 0
    if cache is not None and node.attrs["cache"] is not None:
        new = len(key)
        key, value = cache.append(node.attrs["cache"], key, value)
        past = len(key) - new
    if sees and sees[0].dim() == 2:
        visible = sees[0]
    elif node.attrs["causal"]:
        rows = sees[0] if sees else torch.arange(len(query), device=query.device)
        visible = causal(past + rows)
    else:
        visible = whole(len(query), len(key), query.device)
    operands = Operands(query, key, value)
    dim, scale = node.attrs["head_dim"], node.attrs["scale"]
    return attention(operands, visible, dim, scale, rounded=rounded)


_PRODUCTS: dict[str, Callable[[Graph, Node, Tensor, bool], Tensor]] = {
    "linear": _linear,
    "conv2d": _conv2d,
}
"""Operators that ask the graph for rows of their weight."""

_OPERATORS: dict[str, Callable[[Node, list[Tensor], Weights], Tensor]] = {
    "constant": lambda node, inputs, weights: weights["value"],
    "gather_rows": lambda node, inputs, weights: inputs[0][inputs[1]],
    "rms_norm": _rms_norm,
    "layer_norm": _layer_norm,
    "add": lambda node, inputs, weights: inputs[0] + inputs[1],
    "mul": lambda node, inputs, weights: inputs[0] * inputs[1],
    "hadamard": lambda node, inputs, weights: hadamard_transform(inputs[0], node.attrs["block"]),
    "silu": lambda node, inputs, weights: activation("silu", inputs[0]),
    "gelu": lambda node, inputs, weights: activation("gelu", inputs[0]),
    "quick_gelu": lambda node, inputs, weights: activation("quick_gelu", inputs[0]),
    "gelu_tanh": lambda node, inputs, weights: activation("gelu_tanh", inputs[0]),
    "rope_lookup": _rope_lookup,
    "rope": _rope,
}
"""Operators whose weights are small enough to be read whole."""
