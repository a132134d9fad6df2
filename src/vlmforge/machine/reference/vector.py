"""Instructions of the reference machine that work element by element or row by row."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from vlmforge import fixed_point
from vlmforge.fixed_point import to_code
from vlmforge.machine.reference.step import Frame, Kernel, Step

EVERY_CODE = np.arange(1 << 16, dtype=np.uint16).view(np.int16)
"""All int16 codes, in the order of their bits."""


def quantize(step: Step, frame: Frame, x: np.ndarray) -> np.ndarray:
    """x float32 of any shape to codes."""
    return to_code(x * step.attrs["inverse_scale"], step.dtype)


def requantize(step: Step, frame: Frame, x: np.ndarray) -> np.ndarray:
    """x int16 of any shape to codes of another scale."""
    return to_code(x.astype(np.float32) * step.attrs["multiplier"], step.dtype)


def add(step: Step, frame: Frame, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """a and b int16 of one shape."""
    left = a.astype(np.float32) * step.attrs["multiplier_a"]
    right = b.astype(np.float32) * step.attrs["multiplier_b"]
    return to_code(left + right, step.dtype)


def mul(step: Step, frame: Frame, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """a and b int16 of one shape."""
    product = a.astype(np.float32) * b.astype(np.float32)
    return to_code(product * step.attrs["multiplier"], step.dtype)


def hadamard(step: Step, frame: Frame, x: np.ndarray) -> np.ndarray:
    """x int16 ``[M, K]``, each block of columns times Sylvester's matrix; the sums are exact."""
    block, width = step.attrs["block"], 1
    y = x.astype(np.float32).reshape(x.size // block, block)
    while width < block:
        pairs = y.reshape(len(y), block // width // 2, 2, width)
        first, second = pairs[:, :, 0], pairs[:, :, 1]
        y = np.stack([first + second, first - second], axis=2)
        width *= 2
    return to_code(y.reshape(x.shape) * step.attrs["multiplier"], step.dtype)


def activation(function: Callable[[np.ndarray], np.ndarray]) -> Kernel:
    """The kernel that applies a float32 function to the real values of int16 codes.

    Where there are more elements than codes, the function is computed once for every code.
    """

    def compute(step: Step, x: np.ndarray) -> np.ndarray:
        y = function(x.astype(np.float32) * step.attrs["scale"]) * step.attrs["inverse_scale"]
        return to_code(y + np.float32(step.attrs.get("zero_point", 0)), step.dtype)

    def apply(step: Step, frame: Frame, x: np.ndarray) -> np.ndarray:
        if x.size < EVERY_CODE.size:
            return compute(step, x)
        if "every code" not in step.memory:
            step.memory["every code"] = compute(step, EVERY_CODE)
        return step.memory["every code"].take(x.view(np.uint16))

    return apply


silu = activation(fixed_point.silu)
gelu = activation(fixed_point.gelu)
quick_gelu = activation(fixed_point.quick_gelu)
gelu_tanh = activation(fixed_point.gelu_tanh)


def rms_norm(step: Step, frame: Frame, x: np.ndarray) -> np.ndarray:
    """x int16 ``[M, K]``, each ``group`` columns normalized alone, by default all together."""
    columns: int = x.shape[1]
    group: int = step.attrs.get("group", columns)
    groups = x.reshape(len(x), columns // group, group)
    mean_square = _squares(groups).astype(np.float32) / np.float32(group)
    y = _normalized(step, groups.astype(np.float32), mean_square)
    return to_code(y.reshape(x.shape), step.dtype)


def layer_norm(step: Step, frame: Frame, x: np.ndarray) -> np.ndarray:
    """x int16 ``[M, K]``."""
    columns = x.shape[1]
    sums = x.sum(axis=1, dtype=np.int64, keepdims=True)
    deviations = columns * _squares(x).astype(np.int64) - sums * sums
    variance = deviations.astype(np.float32) / np.float32(columns * columns)
    mean = sums.astype(np.float32) / np.float32(columns)
    y = _normalized(step, x.astype(np.float32) - mean, variance)
    if "bias" in step.tensors:
        y = y + step.tensors["bias"]
    return to_code(y, step.dtype)


def rope(step: Step, frame: Frame, x: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """x int16 ``[M, H·D]``, rows float32 ``[M, 2, D]`` to int8 ``[M, H·D]``."""
    head_dim = step.attrs["head_dim"]
    heads = x.astype(np.float32).reshape(len(x), x.shape[1] // head_dim, head_dim)
    first, second = np.split(heads, 2, axis=2)
    rotated = np.concatenate([-second, first], axis=2)
    y = heads * rows[:, None, 0] + rotated * rows[:, None, 1]
    y = y.reshape(x.shape) * step.tensors["multiplier"]
    if "offset" in step.tensors:
        y = y + step.tensors["offset"]
    return to_code(y, step.dtype)


def _squares(x: np.ndarray) -> np.ndarray:
    """Exact sums of squares over the last axis, which stays: float64 ``[..., 1]``."""
    wide = x.astype(np.float64)
    return np.einsum("...k,...k->...", wide, wide)[..., None]


def _normalized(step: Step, centered: np.ndarray, variance: np.ndarray) -> np.ndarray:
    """Float32 rows, whole or in groups, divided by their deviation, times the gain."""
    inverse = np.float32(1) / np.sqrt(variance + step.attrs["epsilon"])
    if "gain" not in step.tensors:
        return (centered * inverse) * step.attrs["multiplier"]
    return (centered * inverse) * step.tensors["gain"].reshape(centered.shape[1:])
