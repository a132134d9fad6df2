"""The instruction set once more: Python integers and one float32 at a time, from the docs.

Nothing here is shared with the machines. Constants are read from ``docs/numbers.md``.
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

F = np.float32
NUMBERS = Path(__file__).parents[2] / "docs" / "numbers.md"
LIMITS = {"int8": 127, "int16": 32767}


def constants(name: str) -> list[np.float32]:
    """The numbers on the line of ``docs/numbers.md`` that begins with ``name``."""
    found = re.search(rf"^    {name} +(.*)$", NUMBERS.read_text(encoding="utf-8"), re.MULTILINE)
    assert found is not None
    return [F(number) for number in found.group(1).split()]


(LOG2_E,), (LN2_HIGH,), (LN2_LOW,) = map(constants, ("LOG2_E", "LN2_HIGH", "LN2_LOW"))
EXP, ERF = constants("EXP"), constants("ERF")


def f32(i: int) -> np.float32:
    """The float32 nearest to an integer, ties to even."""
    shift = max(0, abs(i).bit_length() - 24)
    kept, rest = divmod(abs(i), 1 << shift)
    half = (1 << shift) / 2
    if shift and (rest > half or (rest == half and kept % 2)):
        kept += 1
    return F(math.copysign(float(kept << shift), i))


def code(v: np.float32, dtype: str) -> int:
    """``clamp(rint(v))``."""
    limit = LIMITS[dtype]
    if math.isnan(v):
        return -limit
    return limit if v > limit else -limit if v < -limit else round(float(v))


def horner(coefficients: Sequence[np.float32], x: np.float32) -> np.float32:
    total = coefficients[-1]
    for coefficient in reversed(coefficients[:-1]):
        total = F(F(total * x) + coefficient)
    return total


def exp(x: np.float32) -> np.float32:
    if x < -87:
        return F(0)
    n = np.rint(x * LOG2_E)
    r = F(F(x - F(n * LN2_HIGH)) - F(n * LN2_LOW))
    return F(horner(EXP, r) * F(2.0 ** int(n)))


def sigmoid(x: np.float32) -> np.float32:
    e = exp(-abs(x))
    return F(F(1) / F(F(1) + e)) if x >= 0 else F(e / F(F(1) + e))


def erf(x: np.float32) -> np.float32:
    t = min(abs(x), F(4))
    y = F(F(1) - exp(-F(t * horner(ERF, t))))
    return -y if x < 0 else y


def silu(t: np.float32) -> np.float32:
    return F(t * sigmoid(t))


def quick_gelu(t: np.float32) -> np.float32:
    return F(t * sigmoid(F(F(1.702) * t)))


def gelu_tanh(t: np.float32) -> np.float32:
    slope = F(F(F(t * t) * F(0.0713548163)) + F(1.59576912))
    return F(t * sigmoid(F(t * slope)))


def gelu(t: np.float32) -> np.float32:
    return F(F(t * F(0.5)) * F(F(1) + erf(F(t * F(0.70710678)))))


def elementwise(function: Callable[..., int], dtype: str, *arrays: np.ndarray) -> np.ndarray:
    """``function`` of each element, as codes."""
    flat = [function(*items) for items in zip(*(a.reshape(-1) for a in arrays), strict=True)]
    return np.array(flat, dtype).reshape(arrays[0].shape)


def hadamard(x: np.ndarray, block: int, multiplier: np.float32, dtype: str) -> np.ndarray:
    """x ``[M, K]``; entry (i, j) of the matrix is −1 where i and j share an odd number of bits."""

    def sums(row: Sequence[int]) -> list[int]:
        return [
            sum(-v if (i & j).bit_count() % 2 else v for j, v in enumerate(row))
            for i in range(block)
        ]

    blocks = x.reshape(-1, block).tolist()
    flat = [code(F(f32(total) * multiplier), dtype) for row in blocks for total in sums(row)]
    return np.array(flat, dtype).reshape(x.shape)


def linear(
    x: np.ndarray,
    weight: np.ndarray,
    multiplier: np.ndarray,
    bias: np.ndarray | None,
    dtype: str,
    group_scale: np.ndarray | None = None,
    group: int = 1,
) -> np.ndarray:
    """x ``[M, K]``, row-major weight codes ``[N, K]``, group_scale ``[N, ceil(K / group)]``."""
    output = np.empty((len(x), len(weight)), dtype)
    rows, columns = x.tolist(), weight.tolist()
    for m, n in np.ndindex(output.shape):
        products = [a * b for a, b in zip(rows[m], columns[n], strict=True)]
        if group_scale is not None:
            products = [p * int(group_scale[n, k // group]) for k, p in enumerate(products)]
        total = sum(products) + (0 if bias is None else int(bias[n]))
        y = F(f32(total) * multiplier[n])
        output[m, n] = y if dtype == "float32" else code(y, dtype)
    return output


def patches(x: np.ndarray, kernel_h: int, kernel_w: int) -> np.ndarray:
    """x ``[H, W, C]`` to ``[patches, kernel_h * kernel_w * C]``."""
    height, width, _ = x.shape
    corners = [(i, j) for i in range(0, height, kernel_h) for j in range(0, width, kernel_w)]
    return np.stack([x[i : i + kernel_h, j : j + kernel_w].reshape(-1) for i, j in corners])


def rms_norm(
    x: np.ndarray, gain: Sequence[float], epsilon: float, dtype: str, group: int | None = None
) -> np.ndarray:
    output = np.empty(x.shape, dtype)
    size = group or x.shape[1]
    for m, first in itertools.product(range(len(x)), range(0, x.shape[1], size)):
        columns = range(first, first + size)
        row = x[m].tolist()
        v = F(F(f32(sum(row[k] * row[k] for k in columns)) / f32(size)) + F(epsilon))
        r = F(F(1) / np.sqrt(v))
        for k in columns:
            output[m, k] = code(F(F(f32(row[k]) * r) * F(gain[k])), dtype)
    return output


def layer_norm(
    x: np.ndarray,
    gain: Sequence[float],
    bias: Sequence[float] | None,
    epsilon: float,
    dtype: str,
) -> np.ndarray:
    output = np.empty(x.shape, dtype)
    for m, row in enumerate(x.tolist()):
        s, columns = sum(row), len(row)
        d = columns * sum(i * i for i in row) - s * s
        mean = F(f32(s) / f32(columns))
        r = F(F(1) / np.sqrt(F(F(f32(d) / f32(columns**2)) + F(epsilon))))
        for k, i in enumerate(row):
            y = F(F(F(f32(i) - mean) * r) * F(gain[k]))
            output[m, k] = code(y if bias is None else F(y + F(bias[k])), dtype)
    return output


def rope_lookup(
    position_ids: np.ndarray, cos: np.ndarray, sin: np.ndarray, sections: Sequence[int]
) -> np.ndarray:
    streams = [i % 3 for i, section in enumerate(sections) for _ in range(section)]
    rows = []
    for m in range(position_ids.shape[1]):
        at = [(position_ids[stream, m], column) for column, stream in enumerate(streams)]
        rows.append([2 * [table[p, c] for p, c in at] for table in (cos, sin)])
    return np.array(rows, F).reshape(position_ids.shape[1], 2, 2 * cos.shape[1])


def rope(
    x: np.ndarray,
    rows: np.ndarray,
    multiplier: np.ndarray,
    head_dim: int,
    offset: np.ndarray | None = None,
) -> np.ndarray:
    output = np.empty(x.shape, np.int8)
    for m, channel in np.ndindex(x.shape):
        d = channel % head_dim
        partner = channel + head_dim // 2 if d < head_dim // 2 else channel - head_dim // 2
        sign = -1 if d < head_dim // 2 else 1
        turned = F(f32(sign * int(x[m, partner])) * rows[m, 1, d])
        y = F(F(f32(int(x[m, channel])) * rows[m, 0, d]) + turned)
        y = F(y * multiplier[channel])
        output[m, channel] = code(y if offset is None else F(y + offset[channel]), "int8")
    return output


def attention(
    q: np.ndarray,
    k: np.ndarray,
    v: np.ndarray,
    last: Sequence[int],
    score_multiplier: np.ndarray,
    multiplier: np.ndarray,
    kv_heads: int,
    dtype: str,
    first: Sequence[int] | None = None,
) -> np.ndarray:
    """k and v ``[T, G·D]`` with the cached rows in front; row m sees keys first[m] … last[m]."""
    heads = len(score_multiplier)
    head_dim = q.shape[1] // heads
    output = np.empty(q.shape, dtype)
    for m, h in np.ndindex(len(q), heads):
        at = h // (heads // kv_heads) * head_dim
        own = slice(h * head_dim, (h + 1) * head_dim)
        seen = slice(first[m] if first else 0, last[m] + 1)
        seen_keys = k[seen, at : at + head_dim].tolist()
        query = q[m, own].tolist()
        a = [sum(x * y for x, y in zip(query, key, strict=True)) for key in seen_keys]
        e = [code(F(exp(F(f32(j - max(a)) * score_multiplier[h])) * F(32767)), "int16") for j in a]
        for d in range(head_dim):
            c = sum(p * int(x) for p, x in zip(e, v[seen, at + d], strict=True))
            scale = F(multiplier[h * head_dim + d] / f32(sum(e)))
            output[m, h * head_dim + d] = code(F(f32(c) * scale), dtype)
    return output
