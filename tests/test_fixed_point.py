"""Accuracy of the float32 functions, and the rounding of codes and scales."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.machine import oracle
from vlmforge import fixed_point as fp

FUNCTIONS = [fp.exp, fp.sigmoid, fp.erf, fp.silu, fp.gelu, fp.quick_gelu, fp.gelu_tanh]


def spread(low: float, high: float) -> np.ndarray:
    """Float32 points, evenly spaced and dense near 0."""
    near = np.geomspace(1e-9, max(-low, high), 20001)
    points = np.concatenate([np.linspace(low, high, 40001), near, -near])
    return points[(points >= low) & (points <= high)].astype(np.float32)


def exact(function: Callable[[float], float], x: np.ndarray) -> np.ndarray:
    return np.array([function(float(v)) for v in x])


def test_exp() -> None:
    x = spread(-87, 0)
    wanted = exact(math.exp, x)
    assert np.max(np.abs(fp.exp(x) - wanted) / wanted) <= 1e-7


def test_exp_ends() -> None:
    ends = fp.exp(np.array([0.0, -0.0, -87.00001, -1e30, -np.inf], np.float32))
    assert ends.tolist() == [1, 1, 0, 0, 0]
    assert fp.exp(np.array([-87.0], np.float32))[0] >= np.finfo(np.float32).tiny


def test_exp_is_monotone() -> None:
    assert (np.diff(fp.exp(np.sort(spread(-87, 0)))) >= 0).all()


def test_sigmoid() -> None:
    x = spread(-30, 30)
    wanted = exact(lambda v: 1 / (1 + math.exp(-v)), x)
    assert np.max(np.abs(fp.sigmoid(x) - wanted)) <= 1e-7


def test_erf() -> None:
    x = spread(-6, 6)
    assert np.max(np.abs(fp.erf(x) - exact(math.erf, x))) <= 1e-7
    np.testing.assert_array_equal(fp.erf(-x), -fp.erf(x))
    assert fp.erf(np.array([0, 4, 9, np.inf, -np.inf], np.float32)).tolist() == [0, 1, 1, 1, -1]


def gelu_tanh(v: float) -> float:
    return v / 2 * (1 + math.tanh(math.sqrt(2 / math.pi) * (v + 0.044715 * v**3)))


@pytest.mark.parametrize(
    ("function", "wanted"),
    [
        (fp.silu, lambda v: v / (1 + math.exp(-v))),
        (fp.quick_gelu, lambda v: v / (1 + math.exp(-1.702 * v))),
        (fp.gelu, lambda v: v * 0.5 * math.erfc(-v / math.sqrt(2))),
        (fp.gelu_tanh, gelu_tanh),
    ],
)
def test_activations(
    function: Callable[[np.ndarray], np.ndarray], wanted: Callable[[float], float]
) -> None:
    x = spread(-12, 12)
    error = np.abs(function(x) - exact(wanted, x))
    assert np.max(error / np.maximum(1, np.abs(x))) <= 2e-7


@pytest.mark.parametrize("function", FUNCTIONS)
def test_bits_are_those_of_the_docs(function: Callable[[np.ndarray], np.ndarray]) -> None:
    low, high = (-90, 0) if function is fp.exp else (-9, 9)
    x = np.random.default_rng(0).uniform(low, high, 3000).astype(np.float32)
    wanted = np.array([getattr(oracle, function.__name__)(v) for v in x], np.float32)
    np.testing.assert_array_equal(function(x).view(np.int32), wanted.view(np.int32))


@pytest.mark.parametrize("function", FUNCTIONS)
@pytest.mark.parametrize("shape", [(), (0,), (3, 4)])
def test_float32_stays_float32(
    function: Callable[[np.ndarray], np.ndarray], shape: tuple[int, ...]
) -> None:
    y = function(np.full(shape, -0.5, np.float32))
    assert (y.dtype.name, y.shape) == ("float32", shape)


def test_to_code() -> None:
    values = np.array([0.5, 1.5, -0.5, -1.5, 126.6, 1e9, -1e9, np.inf, -np.inf, np.nan])
    codes = fp.to_code(values.astype(np.float32), "int8")
    assert codes.dtype == np.int8
    assert codes.tolist() == [0, 2, 0, -2, 127, 127, -127, 127, -127, -127]
    assert fp.to_code(np.array([-40000.0], np.float32), "int16").tolist() == [-32767]


def test_to_code_leaves_its_input() -> None:
    values = np.array([0.4, 300], np.float32)
    fp.to_code(values, "int8")
    assert values.tolist() == [np.float32(0.4), 300]


@given(st.floats(-1e38, 1e38))
def test_multiplier_rounds_once(real: float) -> None:
    m = fp.multiplier(real)
    below, above = (float(np.nextafter(m, np.float32(end))) for end in (-np.inf, np.inf))
    assert isinstance(m, np.float32)
    assert abs(float(m) - real) <= min(abs(below - real), abs(above - real))


@pytest.mark.parametrize("real", [1e39, math.inf, math.nan])
def test_multiplier_must_be_finite(real: float) -> None:
    with pytest.raises(ValueError, match="not finite"):
        fp.multiplier(real)


def test_symmetric_scale_reaches_the_limit() -> None:
    values = np.array([[0.1, -2.0], [0.0, 0.0], [3.0, 1.0]])
    scale = fp.symmetric_scale(np.abs(values).max(axis=1, keepdims=True), 127)
    assert scale.dtype == np.float64
    assert fp.quantize(values, scale, "int8").tolist() == [[6, -127], [0, 0], [127, 42]]
