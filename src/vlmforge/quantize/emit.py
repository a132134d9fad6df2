"""Lowers a graph with chosen codes and scales to an integer program."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import numpy as np

from vlmforge.graph.core import Graph, Node
from vlmforge.program.core import Buffer, Instruction, Program
from vlmforge.progress import Progress
from vlmforge.quantize.scales.choice import LIMITS, Scales
from vlmforge.quantize.weights.bias import bias_codes, least_scales, real_bias
from vlmforge.quantize.weights.formats import QuantizedWeight
from vlmforge.quantize.weights.packed import PackedWeight
from vlmforge.quantize.weights.rounding import Rounding


class TensorWriter(Protocol):
    """Where packed tensors go as soon as they are made."""

    def add(self, name: str, array: np.ndarray) -> None:
        """Append one tensor."""


def lower(
    graph: Graph,
    codes: Mapping[str, str],
    scales: Scales,
    rounding: Rounding,
    writer: TensorWriter,
    progress: Progress | None = None,
) -> Program:
    """The integer program; its tensors are handed to ``writer`` one by one and not kept."""
    builder = _Builder(graph, codes, scales, rounding, writer)
    for name, value in graph.inputs.items():
        builder.lower_input(name, value.shape, value.dtype)
    for done, node in enumerate(graph.nodes.values()):
        builder.lower_node(node)
        if progress is not None:
            progress(f"quantizing the {graph.component} model", done + 1, len(graph.nodes))
    return Program(
        graph.component,
        tuple(graph.inputs),
        graph.outputs,
        builder.buffers,
        tuple(builder.instructions),
        {},
        {**graph.meta, **_operand_scales(graph, scales)},
    )


def _operand_scales(graph: Graph, scales: Scales) -> dict[str, Any]:
    """What the program's tensors do not tell: scales of queries and keys that products make."""
    attentions = [node for node in graph.nodes.values() if node.op == "attention"]
    operands = dict.fromkeys(name for node in attentions for name in node.inputs[:2])
    made = [name for name in operands if name in graph.nodes and graph.nodes[name].op == "linear"]
    found = {
        name: {"scales": scales.channels[name].tolist()}
        | ({"centres": scales.centres[name].tolist()} if name in scales.centres else {})
        for name in made
    }
    return {"operands": found} if found else {}


class _Builder:
    def __init__(
        self,
        graph: Graph,
        codes: Mapping[str, str],
        scales: Scales,
        rounding: Rounding,
        writer: TensorWriter,
    ) -> None:
        self.graph, self.codes, self.scales = graph, codes, scales
        self.rounding, self.writer = rounding, writer
        self.buffers: dict[str, Buffer] = {}
        self.instructions: list[Instruction] = []
        self.renamed: dict[str, str] = {}

    def lower_input(self, name: str, shape: tuple[int | str, ...], dtype: str) -> None:
        """Declare an input; a float one is quantized first thing."""
        self.buffers[name] = Buffer(name, shape, dtype)
        if dtype != "float32":
            return
        quantized = f"{name}/quantize"
        scale = self.scales.tensor[name]
        self.buffers[quantized] = Buffer(quantized, shape, self.codes[name], scale)
        attrs = {"inverse_scale": _f32(1.0 / scale)}
        self.instructions.append(Instruction(quantized, "quantize", (name,), {}, attrs))
        self.renamed[name] = quantized

    def lower_node(self, node: Node) -> None:
        """Append the instruction of one node and declare its buffer."""
        tensors, attrs = _EMITTERS[node.op](self, node)
        inputs = tuple(self.renamed.get(name, name) for name in node.inputs)
        scale = self._buffer_scale(node)
        self.buffers[node.name] = Buffer(node.name, node.shape, self.codes[node.name], scale)
        self.instructions.append(Instruction(node.name, node.op, inputs, tensors, attrs))

    def tensor(self, node: Node, role: str, array: np.ndarray) -> dict[str, str]:
        """Write one tensor of the node and give its entry in ``tensors``."""
        name = f"{node.name}.{role}"
        self.writer.add(name, np.ascontiguousarray(array))
        return {role: name}

    def scale(self, name: str) -> float:
        """The per-tensor scale of a value, seen through moves."""
        return self.scales.through_moves(self.graph, name)

    def output_scale(self, node: Node) -> float | np.ndarray:
        """What the node's real output is divided by; 1 for a float output."""
        return 1.0 if self.codes[node.name] == "float32" else self.scales.of(node.name)

    def _buffer_scale(self, node: Node) -> float | None:
        if self.codes[node.name] not in LIMITS or node.name in self.scales.channels:
            return None
        return self.scale(node.name)


Emitted = tuple[dict[str, str], dict[str, Any]]


def _product(builder: _Builder, node: Node) -> Emitted:
    graph, codes, scales = builder.graph, builder.codes, builder.scales
    name, bias = node.inputs[0], real_bias(graph, node, scales)
    scale, smallest = builder.scale(name), least_scales(graph, node, bias, codes, scales)
    quantized = builder.rounding.quantize(node, smallest)
    multiplier = (scale * quantized.scales / builder.output_scale(node)).astype(np.float32)
    tensors, attrs = _weight(builder, node, quantized)
    tensors |= builder.tensor(node, "multiplier", multiplier)
    integers = bias_codes(bias, quantized, scale, scales.zero_point(graph, name), codes[name])
    if integers is not None:
        tensors |= builder.tensor(node, "bias", integers)
    return tensors, attrs


def _weight(builder: _Builder, node: Node, quantized: QuantizedWeight) -> Emitted:
    n, k = quantized.codes.shape
    attrs = {"in_features": k, "out_features": n}
    packed = PackedWeight.of(quantized)
    tensors = builder.tensor(node, "weight", packed.codes)
    if packed.group_scale is None:
        return tensors, attrs
    return tensors | builder.tensor(node, "group_scale", packed.group_scale), {
        **attrs,
        "group": packed.group,
    }


def _conv2d(builder: _Builder, node: Node) -> Emitted:
    tensors, attrs = _product(builder, node)
    kernel = builder.graph.weights[node.weights["weight"]].shape[1:3]
    return tensors, {**attrs, "kernel": list(kernel)}


def _norm(builder: _Builder, node: Node) -> Emitted:
    inverse = 1.0 / builder.scale(node.name)
    epsilon = node.attrs["eps"] / builder.scale(node.inputs[0]) ** 2
    tensors: dict[str, str] = {}
    for role, name in (("weight", "gain"), ("bias", "bias")):
        vector = builder.graph.weight(node, role)
        if vector is not None:
            scaled = vector.load().double().numpy() * inverse
            tensors |= builder.tensor(node, name, scaled.astype(np.float32))
    attrs = {name: value for name, value in node.attrs.items() if name != "eps"}
    return tensors, {"epsilon": _f32(epsilon), "multiplier": _f32(inverse), **attrs}


def _add(builder: _Builder, node: Node) -> Emitted:
    out = builder.scale(node.name)
    first, second = (_f32(builder.scale(name) / out) for name in node.inputs)
    return {}, {"multiplier_a": first, "multiplier_b": second}


def _mul(builder: _Builder, node: Node) -> Emitted:
    first, second = (builder.scale(name) for name in node.inputs)
    return {}, {"multiplier": _f32(first * second / builder.scale(node.name))}


def _hadamard(builder: _Builder, node: Node) -> Emitted:
    block = node.attrs["block"]
    multiplier = builder.scale(node.inputs[0]) / (builder.scale(node.name) * math.sqrt(block))
    return {}, {"block": block, "multiplier": _f32(multiplier)}


def _activation(builder: _Builder, node: Node) -> Emitted:
    inverse = 1.0 / builder.scale(node.name)
    attrs = {"scale": _f32(builder.scale(node.inputs[0])), "inverse_scale": _f32(inverse)}
    zero_point = builder.scales.zero_points.get(node.name)
    return {}, attrs | ({"zero_point": zero_point} if zero_point else {})


def _rope(builder: _Builder, node: Node) -> Emitted:
    channels = node.shape[1]
    assert isinstance(channels, int)
    multiplier = builder.scale(node.inputs[0]) / builder.output_scale(node)
    vector = np.broadcast_to(multiplier, (channels,)).astype(np.float32)
    tensors = builder.tensor(node, "multiplier", vector)
    if node.name in builder.scales.centres:
        offset = -builder.scales.centres[node.name] / builder.output_scale(node)
        tensors |= builder.tensor(node, "offset", offset.astype(np.float32))
    return tensors, {"head_dim": node.attrs["head_dim"]}


def _attention(builder: _Builder, node: Node) -> Emitted:
    heads, kv_heads, dim = (node.attrs[name] for name in ("heads", "kv_heads", "head_dim"))
    values = builder.scales.channels[node.inputs[2]].reshape(kv_heads, dim)
    multiplier = values.repeat(heads // kv_heads, axis=0).reshape(-1) / builder.scale(node.name)
    scores = builder.scales.scores[node.name]
    tensors = builder.tensor(node, "score_multiplier", scores.astype(np.float32))
    tensors |= builder.tensor(node, "multiplier", multiplier.astype(np.float32))
    return tensors, {name: value for name, value in node.attrs.items() if name != "scale"}


def _tables(builder: _Builder, node: Node) -> Emitted:
    tensors: dict[str, str] = {}
    for role, name in node.weights.items():
        tensors |= builder.tensor(node, role, builder.graph.weights[name].load().numpy())
    return tensors, dict(node.attrs)


def _move(builder: _Builder, node: Node) -> Emitted:
    return {}, dict(node.attrs)


def _f32(value: float) -> float:
    return float(np.float32(value))


_EMITTERS: dict[str, Callable[[_Builder, Node], Emitted]] = {
    "linear": _product,
    "conv2d": _conv2d,
    "rms_norm": _norm,
    "layer_norm": _norm,
    "add": _add,
    "mul": _mul,
    "hadamard": _hadamard,
    "silu": _activation,
    "gelu": _activation,
    "quick_gelu": _activation,
    "gelu_tanh": _activation,
    "rope": _rope,
    "attention": _attention,
    "rope_lookup": _tables,
    "constant": _tables,
    "reshape": _move,
    "gather_rows": _move,
}
