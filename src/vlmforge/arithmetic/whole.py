"""Products of codes: sums of integers, which are exact in any order, rounded once at the end.

They are those of the machine that runs programs, and need it to be built.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from vlmforge.arithmetic.kernels import whole_kernels

MOST_ROWS = 65536
"""Of codes that :func:`add_gram` takes at once; their sums of int8 products fit 32 bits."""

MOST_FEATURES = 65536
"""Of a product."""


def whole_product(
    x: Tensor,
    codes: np.ndarray,
    group_scale: np.ndarray | None,
    group: int,
    multiplier: np.ndarray,
    bias: np.ndarray | None,
) -> Tensor:
    """``(x W' + bias) * multiplier``, float32 ``[rows, out]``, of sums rounded to float32.

    Args:
        x: int8 or int16 ``[rows, in]`` on the CPU.
        codes, group_scale: of the weight W ``[out, in]``, packed as a program holds them.
        group: columns of a group, 0 without group scales.
        multiplier: float32 ``[out]``.
        bias: int64 ``[out]``, or None.
    """
    found = torch.empty(len(x), len(multiplier))
    given = codes, group_scale, group, multiplier, bias
    whole_kernels().product(x.contiguous().numpy(), *given, found.numpy())
    return found


def add_gram(sums: Tensor, x: Tensor) -> None:
    """Add ``x' x`` to the upper triangle of ``sums``, in place; what is below it is not defined.

    Args:
        sums: int32 ``[columns, columns]``; no sum may exceed 32 bits.
        x: int8 ``[rows, columns]`` of codes from -127 to 127, at most :data:`MOST_ROWS` rows.
    """
    whole_kernels().add_gram(x.contiguous().numpy(), sums.numpy())
