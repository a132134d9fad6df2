"""A small random encoder program: any number of groups of four patches, joined by a merger."""

from __future__ import annotations

from typing import Any

import numpy as np

from tests.machine.decoder import HEAD_DIM, HEADS, POSITIONS, Builder
from vlmforge.dims import Dim, Shape
from vlmforge.program.core import Program

HIDDEN, PIXELS, FEATURES = 16, 10, 9
PATCHES: Dim = "4*groups"
INPUTS: dict[str, tuple[Shape, str]] = {
    "patches": ((PATCHES, PIXELS), "float32"),
    "position_ids": ((3, PATCHES), "int64"),
    "order": (("groups",), "int64"),
}


def encoder(layers: int = 2, seed: int = 0) -> Program:
    """The program; the groups leave it in the order of the input ``order``."""
    b = Builder(seed, INPUTS)
    x = b.add("pixels", "quantize", ("patches",), ((PATCHES, PIXELS), "int8"), inverse_scale=40.0)
    b.rope_rows("position_ids", PATCHES)
    h = b.linear("embed", x, HIDDEN, "int16")
    for layer in range(layers):
        h = _layer(b, f"l{layer}_", h)
    joined = 4 * HIDDEN
    merged: tuple[Shape, str] = (("groups", joined), "int8")
    x = b.add("merged", "reshape", (_layer_norm(b, "norm", h),), merged, shape=["groups", joined])
    x = b.add("ordered", "gather_rows", (x, "order"), merged)
    x = b.linear("fc1", x, joined, "int16")
    x = b.add("gelu", "gelu", (x,), merged, scale=2**-11, inverse_scale=16.0, zero_point=-100)
    return b.program("vision", b.linear("fc2", x, FEATURES, "float32"))


def _layer_norm(b: Builder, name: str, x: str) -> str:
    bias = {"bias": np.linspace(-9, 9, HIDDEN, dtype=np.float32)}
    kind = (b.buffers[x].shape, "int8")
    return b.add(name, "layer_norm", (x,), kind, bias, epsilon=0.5, multiplier=50.0)


def _layer(b: Builder, p: str, h: str) -> str:
    x = _layer_norm(b, f"{p}norm1", h)
    width = HEADS * HEAD_DIM
    q, k = (b.rope(f"{p}rope_{n}", b.linear(f"{p}{n}", x, width, "int16")) for n in ("q", "k"))
    v = b.linear(f"{p}v", x, width, "int8")
    tensors = {
        "score_multiplier": np.full(HEADS, 0.0004, np.float32),
        "multiplier": np.full(width, 1.0, np.float32),
    }
    sizes: dict[str, Any] = {"heads": HEADS, "kv_heads": HEADS, "head_dim": HEAD_DIM}
    kind: tuple[Shape, str] = ((PATCHES, width), "int8")
    a = b.add(f"{p}a", "attention", (q, k, v), kind, tensors, causal=False, cache=None, **sizes)
    h = _residual(b, f"{p}add1", h, b.linear(f"{p}o", a, HIDDEN, "int16"))
    x = b.linear(f"{p}up", _layer_norm(b, f"{p}norm2", h), 2 * HIDDEN, "int16")
    wide: tuple[Shape, str] = ((PATCHES, 2 * HIDDEN), "int16")
    x = b.add(f"{p}gelu", "quick_gelu", (x,), wide, scale=2**-11, inverse_scale=2048.0)
    x = b.add(f"{p}gate", "mul", (x, x), wide, multiplier=2**-13)
    x = b.add(f"{p}mixed", "hadamard", (x,), wide, block=16, multiplier=0.25)
    x = b.add(f"{p}narrow", "requantize", (x,), (wide[0], "int8"), multiplier=2**-6)
    return _residual(b, f"{p}add2", h, b.linear(f"{p}down", x, HIDDEN, "int16"))


def _residual(b: Builder, name: str, h: str, x: str) -> str:
    kind = (b.buffers[h].shape, "int16")
    return b.add(name, "add", (h, x), kind, multiplier_a=1.0, multiplier_b=0.5)


def picture(groups: int, seed: int = 0) -> dict[str, np.ndarray]:
    """Inputs of a picture of so many groups."""
    rng = np.random.default_rng(seed)
    return {
        "patches": rng.standard_normal((4 * groups, PIXELS)).astype(np.float32),
        "position_ids": rng.integers(0, POSITIONS, (3, 4 * groups)),
        "order": rng.permutation(groups),
    }
