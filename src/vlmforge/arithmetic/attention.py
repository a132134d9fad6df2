"""Attention of rows to the keys that each of them sees."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from vlmforge.arithmetic.kernels import real_kernels

MASKED = 1 << 24
"""Scores of a head that are masked at once: torch holds the mask as floats."""


class Operands(NamedTuple):
    """Queries ``[rows, heads * dim]``, keys and values ``[keys, kv_heads * dim]``."""

    query: Tensor
    key: Tensor
    value: Tensor


def attention(
    operands: Operands, visible: Tensor, dim: int, scale: float, *, rounded: bool = False
) -> Tensor:
    """``softmax(scale q k') v`` of every head, ``[rows, heads * dim]``.

    Args:
        operands: of one sequence.
        visible: int64 ``[rows, 2]``: row i sees the keys ``visible[i, 0] <= j < visible[i, 1]``,
            at least one of those there are.
        dim: channels of a head.
        scale: of the scores.
        rounded: whether both products are those of :func:`vlmforge.arithmetic.products.product`.
    """
    real = real_kernels(*operands)
    if real is None:
        return _by_library(operands, visible, dim, scale)
    query, key, value = (each.detach().contiguous() for each in operands)
    found = torch.empty_like(query)
    rows = visible.cpu().contiguous().numpy()
    real.attention(
        query.numpy(), key.numpy(), value.numpy(), rows, dim, scale, found.numpy(), rounded
    )
    return found


def causal(rows: Tensor) -> Tensor:
    """``visible`` of rows that see all keys up to one, ``rows`` int64 ``[rows]``."""
    return torch.stack([torch.zeros_like(rows), rows + 1], 1)


def whole(rows: int, keys: int, device: torch.device) -> Tensor:
    """``visible`` of rows that see all keys."""
    return torch.tensor([[0, keys]], device=device).expand(rows, 2)


class _Part(NamedTuple):
    """Rows that attend at once, the keys they see, and which of these each row sees if not all."""

    rows: slice
    keys: slice
    mask: Tensor | None = None


def _by_library(operands: Operands, visible: Tensor, dim: int, scale: float) -> Tensor:
    heads = [t.unflatten(1, (-1, dim)).transpose(0, 1)[None] for t in operands]
    queries, keys, values = heads
    contexts = [
        F.scaled_dot_product_attention(
            queries[:, :, part.rows],
            keys[:, :, part.keys],
            values[:, :, part.keys],
            attn_mask=part.mask,
            scale=scale,
            enable_gqa=True,
        )
        for part in _parts(visible, keys.shape[2])
    ]
    return torch.cat(contexts or [queries], 2)[0].transpose(0, 1).flatten(1)


def _parts(visible: Tensor, keys: int) -> Iterator[_Part]:
    """Rows in a row that see the same keys attend together; else masks tell what each sees."""
    bounds, counts = visible.unique_consecutive(dim=0, return_counts=True)
    if len(bounds) > len(visible) // 2 and len(visible) > 1:
        yield from _masked(visible, keys)
        return
    start = 0
    for (first, end), count in zip(bounds.tolist(), counts.tolist(), strict=True):
        yield _Part(slice(start, start + count), slice(first, end))
        start += count


def _masked(visible: Tensor, keys: int) -> Iterator[_Part]:
    places = torch.arange(keys, device=visible.device)[None]
    size = max(1, MASKED // keys)
    for start in range(0, len(visible), size):
        first, end = visible[start : start + size].T[..., None]
        yield _Part(slice(start, start + size), slice(None), (first <= places) & (places < end))
