"""linear and conv2d of the reference machine: exact integer sums out of float32 products."""

from __future__ import annotations

import numpy as np

from vlmforge.fixed_point import to_code
from vlmforge.machine.reference.step import Frame, Step

CHUNK = 1024
"""Columns whose products of two int8 values sum to at most 2^24, so exactly in float32."""

BLOCK = 1 << 20
"""Accumulators held at once: few enough for the processor's cache, whatever the sizes."""


def linear(step: Step, frame: Frame, x: np.ndarray) -> np.ndarray:
    """x ``[M, K]`` codes to ``[M, N]``."""
    halves = _halves(x) if x.dtype == np.int16 else x.astype(np.float32)
    outputs = step.weight.shape[0]
    output = np.empty((len(x), outputs), step.dtype)
    width = max(1, BLOCK // max(1, len(halves)))
    for start in range(0, outputs, width):
        part = slice(start, min(start + width, outputs))
        sums = _sums(step, halves, part)
        output[:, part] = _scaled(step, sums if len(sums) == len(x) else _joined(sums), part)
    return output


def conv2d(step: Step, frame: Frame, x: np.ndarray) -> np.ndarray:
    """x ``[H, W, C]`` codes to ``[patches, N]``."""
    (kernel_h, kernel_w), (height, width, channels) = step.attrs["kernel"], x.shape
    grid = x.reshape(height // kernel_h, kernel_h, width // kernel_w, kernel_w, channels)
    patches = grid.transpose(0, 2, 1, 3, 4)
    return linear(step, frame, patches.reshape(-1, kernel_h * kernel_w * channels))


def _scaled(step: Step, sums: np.ndarray, part: slice) -> np.ndarray:
    """Exact sums ``[M, part]`` to the output's dtype."""
    if "bias" in step.tensors:
        sums = sums + step.tensors["bias"][part].astype(np.float64)
    scaled = sums.astype(np.float32, copy=False) * step.tensors["multiplier"][part]
    return scaled if step.dtype == "float32" else to_code(scaled, step.dtype)


def _halves(x: np.ndarray) -> np.ndarray:
    """int16 codes ``[M, K]`` as int8 halves, float32 ``[2 M, K]``: the high ones, then the low."""
    high = (x.astype(np.int32) + 128) >> 8
    return np.concatenate([high, x - (high << 8)]).astype(np.float32)


def _joined(sums: np.ndarray) -> np.ndarray:
    """Exact sums of int16 codes, float64, from those of their halves."""
    high, low = np.split(sums.astype(np.float64, copy=False), 2)
    return high * 256 + low


def _sums(step: Step, columns: np.ndarray, part: slice) -> np.ndarray:
    """Exact sums of values within ±128: float32 for one chunk without groups, else float64."""
    weight, scales = step.weight[part], step.group_scale
    if scales is None and columns.shape[1] <= CHUNK:
        return columns @ weight.T
    chunk = CHUNK if scales is None else step.attrs["group"]
    total = np.zeros((len(columns), len(weight)))
    for index, start in enumerate(range(0, columns.shape[1], chunk)):
        sums = columns[:, start : start + chunk] @ weight[:, start : start + chunk].T
        total += sums if scales is None else sums * scales[index, part]
    return total
