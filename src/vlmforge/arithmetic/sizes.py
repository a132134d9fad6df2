"""How often elements have which size."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from vlmforge.arithmetic.kernels import real_kernels
from vlmforge.errors import CalibrationError

INFINITY = 0x7F800000
"""The bits of infinity, and one more than those of any other number's size."""


def count_sizes(rows: Tensor, weights: Tensor, shift: int) -> tuple[np.ndarray, np.ndarray]:
    """The elements of each size, and the weights of their rows, added one after the other.

    Args:
        rows: float32 ``[rows, columns]`` on the CPU.
        weights: float32 ``[rows]``.
        shift: bits of a size that its bin leaves out.

    Returns:
        float64 ``[bins]`` each, a bin being the bits of a size without the last ``shift``.

    Raises:
        CalibrationError: an element is not finite.
    """
    bins, real = INFINITY >> shift, real_kernels(rows, weights)
    counts = np.zeros(bins), np.zeros(bins)
    if real is not None:
        given = rows.contiguous().numpy(), weights.contiguous().numpy()
        others = real.count_sizes(*given, shift, *counts)
    else:
        sizes = rows.abs().contiguous().view(torch.int32)
        finite = sizes < INFINITY
        found, others = (sizes[finite] >> shift).numpy(), int((~finite).sum())
        each = weights[:, None].expand_as(rows)[finite].numpy()
        counts[0][:] = np.bincount(found, minlength=bins)
        counts[1][:] = np.bincount(found, each, bins)
    if others:
        raise CalibrationError(
            f"{others} elements of a value are not finite on a calibration sample",
            mend="check the samples and the model's weights",
        )
    return counts
