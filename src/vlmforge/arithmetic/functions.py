"""Logarithm, power, sine and cosine in float64, each operation rounded once and in this order.

Relative errors are below 1e-15, absolute ones of sine and cosine below 1e-12 up to angles of 2³⁰.
Nothing is left to a library of mathematical functions, whose last bit differs between processors.
"""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor

LN2: Final = 0.6931471805599453
SQRT_HALF: Final = 0.7071067811865476

HALF_PI: Final = (1.5707963267341256, 6.077100506303966e-11, 2.0222662487959506e-21)
"""Half of pi in three parts, the first two of 33 bits, so that small multiples are exact."""

LOG_TERMS: Final = 11
EXP_TERMS: Final = 15
TURN_TERMS: Final = 9


def log2(x: Tensor) -> Tensor:
    """The binary logarithm of positive numbers, float64: ``2 atanh(s) / ln 2`` of the mantissa."""
    mantissa, exponent = torch.frexp(x.double())
    small = mantissa < SQRT_HALF
    mantissa = torch.where(small, mantissa * 2, mantissa)
    exponent = torch.where(small, exponent - 1, exponent)
    s = (mantissa - 1) / (mantissa + 1)
    odd = [1.0 / (2 * k + 1) for k in range(LOG_TERMS)]
    return exponent.double() + _horner(odd, s * s) * s * (2 / LN2)


def exp2(x: Tensor) -> Tensor:
    """``2ˣ`` for |x| ≤ 1000, float64."""
    whole = x.double().round()
    coefficients = [1.0]
    for k in range(1, EXP_TERMS):
        coefficients.append(coefficients[-1] / k)
    power = ((whole.long() + 1023) << 52).view(torch.float64)
    return _horner(coefficients, (x.double() - whole) * LN2) * power


def power(x: Tensor, exponent: float) -> Tensor:
    """``x ** exponent`` of positive numbers, in the dtype of ``x``."""
    return exp2(log2(x) * exponent).to(x.dtype)


def cos_sin(angles: Tensor) -> tuple[Tensor, Tensor]:
    """Cosine and sine of angles in radians, float64."""
    angles = angles.double()
    quarters = (angles * (2 / torch.pi)).round()
    rest = angles
    for part in HALF_PI:
        rest = rest - quarters * part
    cosine, sine, squares = [1.0], [1.0], rest * rest
    for k in range(1, TURN_TERMS):
        cosine.append(-cosine[-1] / ((2 * k - 1) * (2 * k)))
        sine.append(-sine[-1] / ((2 * k) * (2 * k + 1)))
    cos, sin = _horner(cosine, squares), _horner(sine, squares) * rest
    turn = quarters.long() % 4
    swapped = turn % 2 == 1
    cos, sin = torch.where(swapped, sin, cos), torch.where(swapped, cos, sin)
    return torch.where((turn == 1) | (turn == 2), -cos, cos), torch.where(turn >= 2, -sin, sin)


def _horner(coefficients: list[float], x: Tensor) -> Tensor:
    """``(… (c_n x + c_{n-1}) x + …) x + c_0``, each product and each sum rounded."""
    found = torch.full_like(x, coefficients[-1])
    for coefficient in reversed(coefficients[:-1]):
        found = found * x + coefficient
    return found
