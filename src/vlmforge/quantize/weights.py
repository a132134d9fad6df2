"""Symmetric quantization of weights, one scale an output channel."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from vlmforge.graph.core import Weight

ROWS = 2048
"""Output channels quantized at once."""

INT8_MAX = 127


@dataclass(frozen=True)
class QuantizedWeight:
    """``weight ~ codes * scales[:, None]``: codes int8 ``[out, in]``, scales float64 ``[out]``."""

    codes: np.ndarray
    scales: np.ndarray


def quantize_weight(weight: Weight, smallest: np.ndarray | None = None) -> QuantizedWeight:
    """Round to nearest with the largest absolute value of each output channel at 127.

    Args:
        weight: ``[out, ...]``; trailing dimensions are flattened.
        smallest: float64 ``[out]``, a lower bound of each scale.
    """
    codes, scales = [], []
    for start in range(0, weight.shape[0], ROWS):
        rows = weight.read(start, min(start + ROWS, weight.shape[0])).flatten(1).double()
        floor = None if smallest is None else torch.from_numpy(smallest[start : start + ROWS])
        scale = _scale(rows, floor)
        scaled = (rows / scale[:, None]).round_().clamp_(-INT8_MAX, INT8_MAX)
        codes.append(scaled.to(torch.int8).numpy())
        scales.append(scale.numpy())
    return QuantizedWeight(np.concatenate(codes), np.concatenate(scales))


def _scale(rows: Tensor, floor: Tensor | None) -> Tensor:
    scale = rows.abs().amax(1) / INT8_MAX
    scale = scale if floor is None else scale.maximum(floor)
    return torch.where(scale > 0, scale, torch.ones_like(scale))
