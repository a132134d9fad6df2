"""Norms of rows, without gain and bias."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from vlmforge.arithmetic.kernels import real_kernels


def rms_norm(x: Tensor, epsilon: float) -> Tensor:
    """``x / sqrt(mean(x²) + epsilon)`` of each row ``[..., columns]``."""
    return _normalized(x, epsilon, centred=False)


def layer_norm(x: Tensor, epsilon: float) -> Tensor:
    """``(x - mean) / sqrt(variance + epsilon)`` of each row ``[..., columns]``."""
    return _normalized(x, epsilon, centred=True)


def _normalized(x: Tensor, epsilon: float, *, centred: bool) -> Tensor:
    real = real_kernels(x)
    if real is None:
        norm = F.layer_norm if centred else F.rms_norm
        return norm(x, x.shape[-1:], None, eps=epsilon)
    rows = x.detach().reshape(x.shape[:-1].numel(), x.shape[-1]).contiguous()
    found = rows.new_empty(rows.shape)
    real.normalize(rows.numpy(), epsilon, centred, found.numpy())
    return found.reshape(x.shape)
