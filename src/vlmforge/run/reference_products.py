"""linear and conv2d of the reference machine: exact integer sums out of float32 products."""

from __future__ import annotations

import numpy as np

from vlmforge.fixed_point import to_code
from vlmforge.run.reference_step import Frame, Step

CHUNK = 1024
"""Columns whose products of two int8 values sum to at most 2^24, so exactly in float32."""

BLOCK = 1 << 22
"""Accumulators held at once, which bounds memory for long inputs."""


def linear(step: Step, frame: Frame, x: np.ndarray) -> np.ndarray:
    """x ``[M, K]`` codes to ``[M, N]``."""
    output = np.empty((x.shape[0], step.weight.shape[0]), step.dtype)
    rows = max(1, BLOCK // step.weight.shape[0])
    for start in range(0, x.shape[0], rows):
        output[start : start + rows] = _scaled(step, x[start : start + rows])
    return output


def conv2d(step: Step, frame: Frame, x: np.ndarray) -> np.ndarray:
    """x ``[H, W, C]`` codes to ``[patches, N]``."""
    (kernel_h, kernel_w), (height, width, channels) = step.attrs["kernel"], x.shape
    grid = x.reshape(height // kernel_h, kernel_h, width // kernel_w, kernel_w, channels)
    patches = grid.transpose(0, 2, 1, 3, 4)
    return linear(step, frame, patches.reshape(-1, kernel_h * kernel_w * channels))


def _scaled(step: Step, x: np.ndarray) -> np.ndarray:
    sums = _wide_sums(step, x) if x.dtype == np.int16 else _sums(step, x)
    if "bias" in step.tensors:
        sums = sums + step.tensors["bias"].astype(np.float64)
    scaled = sums.astype(np.float32) * step.tensors["multiplier"]
    return scaled if step.dtype == "float32" else to_code(scaled, step.dtype)


def _wide_sums(step: Step, x: np.ndarray) -> np.ndarray:
    """Exact sums of int16 codes, float64, as two int8 halves."""
    high = (x.astype(np.int32) + 128) >> 8
    low = x - (high << 8)
    sums = _sums(step, np.concatenate([high, low])).astype(np.float64)
    return sums[: len(x)] * 256 + sums[len(x) :]


def _sums(step: Step, x: np.ndarray) -> np.ndarray:
    """Exact sums of values within ±128: float32 for one chunk without groups, else float64."""
    columns, weight, scales = x.astype(np.float32), step.weight, step.group_scale
    if scales is None and columns.shape[1] <= CHUNK:
        return columns @ weight.T
    chunk = CHUNK if scales is None else step.attrs["group"]
    total = np.zeros((len(x), len(weight)))
    for part, start in enumerate(range(0, columns.shape[1], chunk)):
        sums = columns[:, start : start + chunk] @ weight[:, start : start + chunk].T
        total += sums if scales is None else sums * scales[part]
    return total
