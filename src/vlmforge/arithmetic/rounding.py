"""Rounding of a weight's columns one after the other, which outputs do not depend on each other in.

Every operation is rounded once, on any device. Weights have columns for rows here.
"""

from __future__ import annotations

import torch
from torch import Tensor

from vlmforge.arithmetic.kernels import real_kernels


def round_columns(
    weight: Tensor, scale: Tensor, factor: Tensor, codes: Tensor, limits: tuple[int, int]
) -> Tensor:
    """Round columns, the error of each carried to those behind it.

    Args:
        weight: float32 ``[columns, out]``; errors are carried in place.
        scale: of the codes, ``[out]``.
        factor: ``[columns, columns]``, upper triangular; column i carries its error over
            ``factor[i, i]``, times ``factor[i, j]``, to column j.
        codes: ``[columns, out]``, filled.
        limits: the least and the largest code.

    Returns:
        The errors ``[columns, out]``, each over its ``factor[i, i]``.
    """
    errors = torch.empty_like(weight)
    real = real_kernels(weight, scale, factor, codes)
    if real is not None:
        given = weight.numpy(), scale.contiguous().numpy(), factor.numpy()
        real.round_columns(*given, codes.numpy(), errors.numpy(), *limits)
        return errors
    for column in range(len(weight)):
        code = (weight[column] / scale).round_().clamp_(*limits)
        codes[column] = code
        errors[column] = (weight[column] - code * scale) / factor[column, column]
        weight[column + 1 :] -= factor[column, column + 1 :, None] * errors[column]
    return errors


def descend_columns(
    gradient: Tensor,
    hessian: Tensor,
    scales: Tensor,
    codes: Tensor,
    errors: Tensor,
    limits: tuple[int, int],
) -> None:
    """Give each column the codes of the least error, all others as they are.

    Args:
        gradient: ``hessian @ errors`` of all columns, float32 ``[columns, out]``; overwritten.
        hessian: ``[columns, columns]``.
        scales: of the codes, ``[columns, out]``.
        codes: ``[columns, out]``, changed in place.
        errors: the weight less its rounded one, ``[columns, out]``, changed in place.
        limits: the least and the largest code.
    """
    real = real_kernels(gradient, hessian, scales, codes, errors)
    if real is not None:
        given = gradient.numpy(), hessian.numpy(), scales.numpy()
        real.descend_columns(*given, codes.numpy(), errors.numpy(), *limits)
        return
    for column, scale in enumerate(scales):
        best = gradient[column] / (hessian[column, column] * scale) + codes[column]
        found = best.round_().clamp_(*limits)
        step = (found - codes[column]) * scale
        codes[column] = found
        errors[column] -= step
        gradient[column:] -= hessian[column, column:, None] * step
