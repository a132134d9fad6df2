"""The operators of the graph: what each one takes, and the shape it gives."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from vlmforge.dims import Dim, Shape, elements, is_dim, is_size
from vlmforge.errors import GraphError
from vlmforge.fixed_point import HADAMARD_BLOCKS
from vlmforge.graph.core import Node

Kind = Literal["product", "norm", "activation", "move", "table"]
"""What an operator is to a transformer: it multiplies rows by a weight, normalizes them, bends each
value, moves rows, or gives values that follow from no sample."""

WeightShapes = dict[str, tuple[int, ...]]
ShapeRule = Callable[[Node, Sequence[Shape], WeightShapes], Shape]


@dataclass(frozen=True)
class OpSpec:
    """The contract of one operator.

    Attributes:
        inputs: smallest and largest number of inputs.
        shape: gives the output shape from the node, input shapes and weight shapes, or raises.
        required, optional: weight roles.
        attrs: names of the attributes, all required.
        options: names of those that may be left out.
        kind: None for what is alone of its kind.
    """

    inputs: tuple[int, int]
    shape: ShapeRule
    required: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()
    attrs: tuple[str, ...] = ()
    options: tuple[str, ...] = ()
    kind: Kind | None = None


def _require(holds: bool, node: Node, rule: str) -> None:
    if not holds:
        raise GraphError(f"{node.op} breaks its rule: {rule}", where=node.name)


def _same(node: Node, inputs: Sequence[Shape], weights: WeightShapes) -> Shape:
    _require(all(shape == inputs[0] for shape in inputs), node, f"equal input shapes, got {inputs}")
    return inputs[0]


def _norm(node: Node, inputs: Sequence[Shape], weights: WeightShapes) -> Shape:
    for role, shape in weights.items():
        _require(shape == (inputs[0][-1],), node, f"{role} {shape} fits channels {inputs[0][-1]}")
    return inputs[0]


def _rms_norm(node: Node, inputs: Sequence[Shape], weights: WeightShapes) -> Shape:
    channels = inputs[0][-1]
    group = node.attrs.get("group", channels)
    whole = is_size(group) and isinstance(channels, int) and channels % group == 0
    _require(whole, node, f"channels {channels} are whole groups of {group}")
    return _norm(node, inputs, weights)


def _product(node: Node, columns: Dim, weights: WeightShapes) -> int:
    out, *rest = weights["weight"]
    fits = math.prod(rest) == columns
    _require(fits, node, f"weight {weights['weight']} fits {columns} input features")
    if "bias" in weights:
        _require(weights["bias"] == (out,), node, f"bias {weights['bias']} fits {out} outputs")
    return out


def _linear(node: Node, inputs: Sequence[Shape], weights: WeightShapes) -> Shape:
    _require(len(weights["weight"]) == 2, node, "weight [out, in]")
    return (*inputs[0][:-1], _product(node, inputs[0][-1], weights))


def _conv2d(node: Node, inputs: Sequence[Shape], weights: WeightShapes) -> Shape:
    height, width, channels = inputs[0]
    _, kernel_h, kernel_w, _ = weights["weight"]
    _require(
        isinstance(height, int) and isinstance(width, int) and isinstance(channels, int),
        node,
        "fixed image size",
    )
    assert isinstance(height, int) and isinstance(width, int) and isinstance(channels, int)
    fits = height % kernel_h == 0 and width % kernel_w == 0
    _require(fits, node, f"image {height}x{width} is whole patches of {kernel_h}x{kernel_w}")
    out = _product(node, kernel_h * kernel_w * channels, weights)
    return ((height // kernel_h) * (width // kernel_w), out)


def _hadamard(node: Node, inputs: Sequence[Shape], weights: WeightShapes) -> Shape:
    block, channels = node.attrs["block"], inputs[0][-1]
    _require(block in HADAMARD_BLOCKS, node, f"a block of {HADAMARD_BLOCKS}")
    whole = isinstance(channels, int) and channels % block == 0
    _require(whole, node, f"channels {channels} are whole blocks of {block}")
    return inputs[0]


def _reshape(node: Node, inputs: Sequence[Shape], weights: WeightShapes) -> Shape:
    target: Shape = tuple(node.attrs["shape"])
    _require(all(map(is_dim, target)), node, f"sizes, names and multiples, not {target}")
    equal = elements(inputs[0]) == elements(target)
    _require(equal, node, f"{inputs[0]} and {target} hold as many elements")
    return target


def _constant(node: Node, inputs: Sequence[Shape], weights: WeightShapes) -> Shape:
    return weights["value"]


def _gather_rows(node: Node, inputs: Sequence[Shape], weights: WeightShapes) -> Shape:
    _require(len(inputs[1]) == 1, node, "a one-dimensional index")
    return (inputs[1][0], *inputs[0][1:])


def _rope_lookup(node: Node, inputs: Sequence[Shape], weights: WeightShapes) -> Shape:
    half = weights["cos"][1]
    _require(weights["sin"] == weights["cos"], node, "cos and sin tables of one shape")
    _require(sum(node.attrs["sections"]) == half, node, f"sections that sum to {half}")
    return (inputs[0][1], 2, 2 * half)


def _rope(node: Node, inputs: Sequence[Shape], weights: WeightShapes) -> Shape:
    head_dim = node.attrs["head_dim"]
    expected = (inputs[0][0], 2, head_dim)
    _require(inputs[1] == expected, node, f"rope rows {expected}, got {inputs[1]}")
    channels = inputs[0][1]
    _require(isinstance(channels, int) and channels % head_dim == 0, node, "whole heads")
    return inputs[0]


def _attention(node: Node, inputs: Sequence[Shape], weights: WeightShapes) -> Shape:
    heads, kv_heads, dim = (node.attrs[name] for name in ("heads", "kv_heads", "head_dim"))
    query, key, value = inputs[:3]
    _require(heads % kv_heads == 0, node, "heads is a multiple of kv_heads")
    _require(query[1] == heads * dim, node, f"q has {heads}x{dim} channels")
    _require(
        key == value and key[1] == kv_heads * dim, node, f"k, v have {kv_heads}x{dim} channels"
    )
    rows = inputs[3][0] if len(inputs) == 4 else key[0]
    _require(query[0] == rows, node, f"q has {rows} rows")
    if sees_intervals(inputs):
        _require(inputs[3] == (rows, 2), node, f"visible [{rows}, 2], got {inputs[3]}")
        _require(not node.attrs["causal"], node, "not causal where visible says what a row sees")
    return query


def sees_intervals(inputs: Sequence[Shape]) -> bool:
    """Whether the fourth input of an attention is ``visible`` ``[n, 2]``, not ``index`` ``[n]``."""
    return len(inputs) == 4 and len(inputs[3]) == 2


OPS: dict[str, OpSpec] = {
    "reshape": OpSpec((1, 1), _reshape, attrs=("shape",), kind="move"),
    "constant": OpSpec((0, 0), _constant, required=("value",), kind="table"),
    "gather_rows": OpSpec((2, 2), _gather_rows, kind="move"),
    "linear": OpSpec((1, 1), _linear, required=("weight",), optional=("bias",), kind="product"),
    "conv2d": OpSpec((1, 1), _conv2d, required=("weight",), optional=("bias",), kind="product"),
    "rms_norm": OpSpec(
        (1, 1), _rms_norm, optional=("weight",), attrs=("eps",), options=("group",), kind="norm"
    ),
    "layer_norm": OpSpec((1, 1), _norm, optional=("weight", "bias"), attrs=("eps",), kind="norm"),
    "add": OpSpec((2, 2), _same),
    "mul": OpSpec((2, 2), _same),
    "hadamard": OpSpec((1, 1), _hadamard, attrs=("block",)),
    "silu": OpSpec((1, 1), _same, kind="activation"),
    "gelu": OpSpec((1, 1), _same, kind="activation"),
    "quick_gelu": OpSpec((1, 1), _same, kind="activation"),
    "gelu_tanh": OpSpec((1, 1), _same, kind="activation"),
    "rope_lookup": OpSpec(
        (1, 1), _rope_lookup, required=("cos", "sin"), attrs=("sections",), kind="table"
    ),
    "rope": OpSpec((2, 2), _rope, attrs=("head_dim",)),
    "attention": OpSpec(
        (3, 4),
        _attention,
        attrs=("heads", "kv_heads", "head_dim", "scale", "causal", "cache"),
    ),
}
"""Operator name to contract. Weight layouts: linear ``[out, in]``, conv2d ``[out, kh, kw, in]``.

``rms_norm`` normalizes each ``group`` channels of a row alone; by default all together.
"""


def _of_kind(kind: Kind) -> tuple[str, ...]:
    return tuple(op for op, spec in OPS.items() if spec.kind == kind)


PRODUCTS, NORMS, ACTIVATIONS = _of_kind("product"), _of_kind("norm"), _of_kind("activation")
MOVES, TABLES = _of_kind("move"), _of_kind("table")
