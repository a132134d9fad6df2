"""The Walsh–Hadamard transform of blocks of channels, which is its own inverse."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from vlmforge.arithmetic.kernels import real_kernels

LEAST = 16
"""The least block that the native kernels transform."""


def hadamard_transform(x: Tensor, block: int) -> Tensor:
    """``x`` with each block of its last dimension multiplied by ``H / sqrt(block)``.

    H is Sylvester's matrix of +1 and −1, symmetric: ``H[i, j] = (-1)^popcount(i & j)``. Sums and
    differences of elements 1, 2, 4 and so on apart follow each other.

    Args:
        x: ``[..., channels]``, whole blocks.
        block: a power of two.
    """
    real = real_kernels(x) if block >= LEAST else None
    if real is not None:
        rows = x.detach().contiguous().view(-1, block)
        found = torch.empty_like(rows)
        real.hadamard(rows.numpy(), found.numpy())
        return found.view(x.shape)
    y, width = x, 1
    while width < block:
        first, second = y.unflatten(-1, (-1, 2, width)).unbind(-2)
        y = torch.stack([first + second, first - second], dim=-2).flatten(-3)
        width *= 2
    return y / math.sqrt(block)
