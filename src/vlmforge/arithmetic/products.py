"""Products of matrices."""

from __future__ import annotations

import torch
from torch import Tensor

from vlmforge.arithmetic.kernels import real_kernels


def product(a: Tensor, b: Tensor) -> Tensor:
    """``a @ b`` for ``[..., m, k]`` and ``[k, n]``, or matrices ``[..., k, n]`` as many as of a."""
    if real_kernels(a, b, doubles=True) is None:
        return a @ b
    if b.dim() == 2:
        rows = a if a.dim() == 2 else a.flatten(0, -2)
        found = rows.new_empty(len(rows), b.shape[1])
        return add_product(found, rows, b, 0).reshape(*a.shape[:-1], b.shape[1])
    matrices = a.expand(*b.shape[:-2], *a.shape[-2:]).flatten(0, -3)
    pairs = zip(matrices, b.flatten(0, -3), strict=True)
    return torch.stack([product(*pair) for pair in pairs]).unflatten(0, b.shape[:-2])


def add_product(c: Tensor, a: Tensor, b: Tensor, sign: int) -> Tensor:
    """``c`` with ``a @ b`` added in place, subtracted where ``sign`` is -1, in its place if 0.

    All are matrices. The rows of c are contiguous and no part of the others.
    """
    real = real_kernels(c, a, b, doubles=True)
    if real is not None:
        real.product(a.detach().numpy(), b.detach().numpy(), c.detach().numpy(), sign)
        return c
    return c.addmm_(a, b, beta=abs(sign), alpha=sign or 1)


def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """``x W' + bias`` for rows ``[..., in]``, a weight ``[out, in]`` and a bias ``[out]``."""
    operands = (x, weight) if bias is None else (x, weight, bias)
    if real_kernels(*operands, doubles=True) is None:
        return torch.nn.functional.linear(x, weight, bias)
    found = product(x, weight.T)
    return found if bias is None else found.add_(bias)
