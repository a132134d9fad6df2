"""A small random decoder program with every part of a text model: caches, RoPE, a head."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from vlmforge.dims import Dim, Shape
from vlmforge.program.core import Buffer, Instruction, Program
from vlmforge.program.layout import pack

HIDDEN, HEADS, KV_HEADS, HEAD_DIM, FFN, VOCAB, POSITIONS = 22, 4, 2, 6, 37, 41, 64
INPUTS: dict[str, tuple[Shape, str]] = {
    "inputs_embeds": ((1, "seq", HIDDEN), "float32"),
    "position_ids": ((3, "seq"), "int64"),
    "logits_index": (("logits",), "int64"),
}


class Builder:
    """Collects instructions, each writing a buffer of its own name."""

    def __init__(self, seed: int, inputs: Mapping[str, tuple[Shape, str]] = INPUTS) -> None:
        self.rng = np.random.default_rng(seed)
        self.inputs = tuple(inputs)
        self.buffers = {name: Buffer(name, *kind) for name, kind in inputs.items()}
        self.instructions: list[Instruction] = []
        self.tensors: dict[str, np.ndarray] = {}

    def add(
        self,
        name: str,
        op: str,
        inputs: tuple[str, ...],
        output: tuple[Shape, str],
        tensors: Mapping[str, np.ndarray] | None = None,
        **attrs: Any,
    ) -> str:
        roles = {role: f"{name}.{role}" for role in tensors or {}}
        self.tensors.update({f"{name}.{role}": array for role, array in (tensors or {}).items()})
        self.instructions.append(Instruction(name, op, inputs, roles, attrs))
        self.buffers[name] = Buffer(name, *output)
        return name

    def linear(self, name: str, x: str, n: int, dtype: str) -> str:
        rows, k = self.buffers[x].shape
        assert isinstance(k, int)
        size = {"int8": 60.0, "int16": 10000.0, "float32": 1.0}[dtype]
        fan = (60 if self.buffers[x].dtype == "int8" else 10000) * 70 * k**0.5
        tensors = {
            "weight": pack(self.rng.integers(-127, 128, (n, k)).astype(np.int8)),
            "multiplier": np.full(n, size / fan, np.float32),
        }
        return self.add(
            name, "linear", (x,), ((rows, n), dtype), tensors, in_features=k, out_features=n
        )

    def norm(self, name: str, x: str) -> str:
        kind = (self.buffers[x].shape, "int8")
        return self.add(name, "rms_norm", (x,), kind, epsilon=0.5, multiplier=50.0)

    def rope(self, name: str, x: str) -> str:
        rows, width = self.buffers[x].shape
        assert isinstance(width, int)
        multiplier = {"multiplier": np.full(width, 1 / 256, np.float32)}
        kind = ((rows, width), "int8")
        return self.add(name, "rope", (x, "rope_rows"), kind, multiplier, head_dim=HEAD_DIM)

    def rope_rows(self, positions: str, rows: Dim) -> str:
        angles = np.outer(np.arange(POSITIONS), [1.0, 0.3, 0.05])
        tables = {"cos": np.cos(angles), "sin": np.sin(angles)}
        tensors = {name: table.astype(np.float32) for name, table in tables.items()}
        kind = ((rows, 2, HEAD_DIM), "float32")
        return self.add("rope_rows", "rope_lookup", (positions,), kind, tensors, sections=[1, 1, 1])

    def program(self, component: str, output: str, **meta: Any) -> Program:
        steps = tuple(self.instructions)
        return Program(component, self.inputs, (output,), self.buffers, steps, self.tensors, meta)


def decoder(layers: int = 2, seed: int = 0) -> Program:
    """The program; its last layer computes only the rows in ``logits_index``."""
    b = Builder(seed)
    kind = ((1, "seq", HIDDEN), "int16")
    b.add("embeds", "quantize", ("inputs_embeds",), kind, inverse_scale=8192.0)
    h = b.add("rows", "reshape", ("embeds",), (("seq", HIDDEN), "int16"), shape=["seq", HIDDEN])
    b.rope_rows("position_ids", "seq")
    for layer in range(layers):
        h = _layer(b, f"l{layer}_", h, last=layer == layers - 1)
    b.linear("logits", b.norm("norm", h), VOCAB, "float32")
    return b.program("language", "logits", cache_length=POSITIONS)


def _layer(b: Builder, p: str, h: str, last: bool) -> str:
    x = b.norm(f"{p}norm1", h)
    q = b.rope(f"{p}rope_q", b.linear(f"{p}q", x, HEADS * HEAD_DIM, "int16"))
    k = b.rope(f"{p}rope_k", b.linear(f"{p}k", x, KV_HEADS * HEAD_DIM, "int16"))
    v = b.linear(f"{p}v", x, KV_HEADS * HEAD_DIM, "int8")
    rows: Dim = "seq"
    inputs: tuple[str, ...] = (q, k, v)
    if last:
        rows = "logits"
        wide, hidden = ((rows, HEADS * HEAD_DIM), "int8"), ((rows, HIDDEN), "int16")
        q = b.add(f"{p}q_rows", "gather_rows", (q, "logits_index"), wide)
        h = b.add(f"{p}rows", "gather_rows", (h, "logits_index"), hidden)
        inputs = (q, k, v, "logits_index")
    tensors = {
        "score_multiplier": np.full(HEADS, 0.0004, np.float32),
        "multiplier": np.full(HEADS * HEAD_DIM, 1.0, np.float32),
    }
    kind = ((rows, HEADS * HEAD_DIM), "int8")
    sizes: dict[str, Any] = {"heads": HEADS, "kv_heads": KV_HEADS, "head_dim": HEAD_DIM}
    sizes |= {"causal": True, "cache": p.rstrip("_")}
    a = b.add(f"{p}attention", "attention", inputs, kind, tensors, **sizes)
    h = _residual(b, f"{p}add1", h, b.linear(f"{p}o", a, HIDDEN, "int16"))
    gate = b.linear(f"{p}gate", b.norm(f"{p}norm2", h), FFN, "int16")
    up = b.linear(f"{p}up", f"{p}norm2", FFN, "int16")
    middle: tuple[tuple[Dim, ...], str] = ((rows, FFN), "int16")
    gate = b.add(f"{p}silu", "silu", (gate,), middle, scale=2**-11, inverse_scale=2048.0)
    product = b.add(f"{p}mul", "mul", (gate, up), middle, multiplier=2**-13)
    return _residual(b, f"{p}add2", h, b.linear(f"{p}down", product, HIDDEN, "int16"))


def _residual(b: Builder, name: str, h: str, x: str) -> str:
    kind = (b.buffers[h].shape, "int16")
    return b.add(name, "add", (h, x), kind, multiplier_a=1.0, multiplier_b=0.5)


def request(seq: int, seed: int = 0) -> dict[str, np.ndarray]:
    """Inputs of ``seq`` text positions that ask for the logits of every row."""
    rng = np.random.default_rng(seed)
    return {
        "inputs_embeds": rng.standard_normal((1, seq, HIDDEN)).astype(np.float32),
        "position_ids": np.tile(np.arange(seq), (3, 1)),
        "logits_index": np.arange(seq),
    }


def part(whole: Mapping[str, np.ndarray], start: int, stop: int) -> dict[str, np.ndarray]:
    """Positions ``[start, stop)`` of a request."""
    return {
        "inputs_embeds": whole["inputs_embeds"][:, start:stop],
        "position_ids": whole["position_ids"][:, start:stop],
        "logits_index": np.arange(stop - start),
    }
