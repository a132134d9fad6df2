"""Sums and means."""

from __future__ import annotations

import torch
from torch import Tensor

from vlmforge.arithmetic.kernels import real_kernels


def row_sums(x: Tensor) -> Tensor:
    """The sums ``[...]`` over the last dimension of ``x`` [..., columns]."""
    real = real_kernels(x, doubles=True)
    if real is None:
        return x.sum(-1)
    rows = x.detach().reshape(x.shape[:-1].numel(), x.shape[-1]).contiguous()
    found = rows.new_empty(len(rows))
    real.sum_rows(rows.numpy(), found.numpy())
    return found.reshape(x.shape[:-1])


def row_means(x: Tensor) -> Tensor:
    """The means ``[...]`` over the last dimension of ``x`` [..., columns]."""
    return row_sums(x) / x.shape[-1]


def mean(x: Tensor) -> Tensor:
    """The mean of all elements, a scalar."""
    return row_means(x.flatten()[None])[0]


def total(x: Tensor) -> Tensor:
    """The sum of all elements, a scalar."""
    return row_sums(x.flatten()[None])[0]


def dots(x: Tensor, vector: Tensor) -> Tensor:
    """``x @ vector`` for ``x`` [..., columns] and ``vector`` [columns], products rounded."""
    if real_kernels(x, vector, doubles=True) is None:
        return torch.as_tensor(x @ vector)
    return row_sums(x * vector)
