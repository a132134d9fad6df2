"""The arithmetic of the integer machine: codes, and float32 functions with fixed roundings.

Every function here is specified bit for bit in ``docs/numbers.md``. Each operation is one IEEE
float32 rounding in the order written, so C++ compiled without fused multiply-add gives the
same bits.
"""

from __future__ import annotations

from typing import Final

import numpy as np

LIMITS: Final[dict[str, int]] = {"int8": 127, "int16": 32767}
"""Largest absolute code of each dtype; the lowest two's-complement value is never used."""

HADAMARD_BLOCKS: Final = (16, 32, 64, 128, 256, 512)
"""Channels a Hadamard matrix may mix: so few that sums of int16 codes are exact in float32."""

LOG2_E: Final = np.float32(1.44269502)
LN2_HIGH: Final = np.float32(0.693359375)
LN2_LOW: Final = np.float32(-0.000212194442)
EXP_LOWEST: Final = np.float32(-87.0)
EXP_COEFFICIENTS: Final = np.array(
    [1.0, 1.0, 0.49999994, 0.166665196, 0.0416683927, 0.00836878084, 0.00138144672], np.float32
)
"""Coefficients of r⁰, r¹, … in ``exp(r)``, |r| ≤ ln(2) / 2."""

ERF_HIGHEST: Final = np.float32(4.0)
ERF_COEFFICIENTS: Final = np.array(
    [
        *(1.1283803, 0.636597753, 0.102919616, -0.0195839591),
        *(0.000536932086, 0.00103240239, -0.00030880241, 3.14401877e-05),
    ],
    np.float32,
)
"""Coefficients of t⁰, t¹, … in ``-log(1 - erf(t)) / t``, 0 ≤ t ≤ 4."""

GELU_SCALE: Final = np.float32(0.707106769)
QUICK_GELU_SCALE: Final = np.float32(1.702)
GELU_TANH_LINEAR: Final = np.float32(1.59576912)
GELU_TANH_CUBIC: Final = np.float32(0.0713548163)
"""``2 sqrt(2 / pi)``, and 0.044715 times that."""


def to_code(values: np.ndarray, dtype: str) -> np.ndarray:
    """``clamp(rint(values))`` as ``dtype``, of the same shape; ties go to even.

    NaN, which only overflow can produce, gives the lowest code.
    """
    limit = np.float32(LIMITS[dtype])
    rounded = np.rint(values)
    np.fmax(rounded, -limit, out=rounded)
    np.fmin(rounded, limit, out=rounded)
    return rounded.astype(dtype)


def multiplier(real: float) -> np.float32:
    """The float32 nearest to a factor computed in float64.

    Raises:
        ValueError: the factor is not finite in float32.
    """
    return np.float32(multipliers(np.asarray(real))[()])


def multipliers(real: np.ndarray) -> np.ndarray:
    """:func:`multiplier` of every element of a float64 array."""
    with np.errstate(over="ignore"):
        rounded = np.asarray(real, np.float64).astype(np.float32)
    if not np.isfinite(rounded).all():
        raise ValueError(f"a multiplier is not finite in float32: {real}")
    return rounded


def symmetric_scale(largest: np.ndarray | float, limit: int) -> np.ndarray:
    """The float64 scale that puts ``largest`` (absolute, any shape) on the code ``limit``.

    A range of zero gives scale 1, as every code is then 0.
    """
    largest = np.asarray(largest, np.float64)
    return np.where(largest > 0, largest / limit, 1.0)


def quantize(values: np.ndarray, scale: np.ndarray | float, dtype: str) -> np.ndarray:
    """Codes of real ``values`` by division in float64; ``scale`` broadcasts.

    For compile time. The ``quantize`` instruction multiplies by a float32 inverse instead.
    """
    return to_code(np.asarray(values, np.float64) / scale, dtype)


def exp(x: np.ndarray) -> np.ndarray:
    """``e**x`` for float32 ``x`` ≤ 0; below −87 it is 0. Relative error under 1.5e-7."""
    t = np.fmax(x, EXP_LOWEST)
    n = np.rint(t * LOG2_E)
    r = (t - n * LN2_HIGH) - n * LN2_LOW
    power = ((n.astype(np.int32) + np.int32(127)) << np.int32(23)).view(np.float32)
    return np.where(x < EXP_LOWEST, np.float32(0), _horner(EXP_COEFFICIENTS, r) * power)


def sigmoid(x: np.ndarray) -> np.ndarray:
    """``1 / (1 + e**-x)`` of float32 ``x``. Absolute error under 2e-7."""
    e = exp(-np.abs(x))
    one = np.float32(1)
    return np.where(x >= 0, one, e) / (one + e)


def erf(x: np.ndarray) -> np.ndarray:
    """The error function of float32 ``x``. Absolute error under 2e-7."""
    t = np.fmin(np.abs(x), ERF_HIGHEST)
    magnitude = np.float32(1) - exp(-(t * _horner(ERF_COEFFICIENTS, t)))
    return np.copysign(magnitude, x)


def silu(x: np.ndarray) -> np.ndarray:
    """``x * sigmoid(x)`` of float32 ``x``."""
    return x * sigmoid(x)


def gelu(x: np.ndarray) -> np.ndarray:
    """``(x * 0.5) * (1 + erf(x / sqrt(2)))`` of float32 ``x``."""
    return (x * np.float32(0.5)) * (np.float32(1) + erf(x * GELU_SCALE))


def quick_gelu(x: np.ndarray) -> np.ndarray:
    """``x * sigmoid(1.702 * x)`` of float32 ``x``."""
    return x * sigmoid(x * QUICK_GELU_SCALE)


def gelu_tanh(x: np.ndarray) -> np.ndarray:
    """``x / 2 * (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3)))`` of float32 ``x``, by the sigmoid.

    ``1 + tanh(u) = 2 sigmoid(2 u)`` (Hendrycks and Gimpel 2016, equation 2).
    """
    return x * sigmoid(x * ((x * x) * GELU_TANH_CUBIC + GELU_TANH_LINEAR))


def _horner(coefficients: np.ndarray, x: np.ndarray) -> np.ndarray:
    """``(… (c_n * x + c_{n-1}) * x + …) * x + c_0``."""
    total = np.full_like(x, coefficients[-1])
    for coefficient in coefficients[-2::-1]:
        total *= x
        total += coefficient
    return total
