"""Products of matrices."""

from __future__ import annotations

import torch
from torch import Tensor

from vlmforge.arithmetic.kernels import real_kernels


def product(a: Tensor, b: Tensor, *, rounded: bool = False) -> Tensor:
    """``a @ b`` for ``[..., m, k]`` and ``[k, n]``, or matrices ``[..., k, n]`` as many as of a.

    With ``rounded``, of float32 that kernels round to bfloat16 before they multiply; sums are
    float32. Some processors are twice as fast at that.
    """
    real = real_kernels(a, b, doubles=not rounded)
    if real is None:
        return a @ b
    if b.dim() > 2:
        matrices = a.expand(*b.shape[:-2], *a.shape[-2:]).flatten(0, -3)
        pairs = zip(matrices, b.flatten(0, -3), strict=True)
        found = torch.stack([product(*pair, rounded=rounded) for pair in pairs])
        return found.unflatten(0, b.shape[:-2])
    rows = a if a.dim() == 2 else a.flatten(0, -2)
    found = rows.new_empty(len(rows), b.shape[1])
    if rounded:
        real.rounded_product(rows.detach().numpy(), b.detach().numpy(), found.numpy())
    else:
        add_product(found, rows, b, 0)
    return found.reshape(*a.shape[:-1], b.shape[1])


def add_product(c: Tensor, a: Tensor, b: Tensor, sign: int) -> Tensor:
    """``c`` with ``a @ b`` added in place, subtracted where ``sign`` is -1, in its place if 0.

    All are matrices. The rows of c are contiguous and no part of the others.
    """
    real = real_kernels(c, a, b, doubles=True)
    if real is not None:
        real.product(a.detach().numpy(), b.detach().numpy(), c.detach().numpy(), sign)
        return c
    return c.addmm_(a, b, beta=abs(sign), alpha=sign or 1)


def linear(
    x: Tensor, weight: Tensor, bias: Tensor | None = None, *, rounded: bool = False
) -> Tensor:
    """``x W' + bias`` for rows ``[..., in]``, a weight ``[out, in]`` and a bias ``[out]``.

    ``rounded`` is that of :func:`product`.
    """
    operands = (x, weight) if bias is None else (x, weight, bias)
    if real_kernels(*operands, doubles=not rounded) is None:
        return torch.nn.functional.linear(x, weight, bias)
    found = product(x, weight.T, rounded=rounded)
    return found if bias is None else found.add_(bias)
