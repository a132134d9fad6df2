"""Histograms of sizes: the error they predict, and the clipping they choose."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from vlmforge.quantize.observe.histogram import Histogram


def values(seed: int, power: float) -> Tensor:
    """Rows of different sizes with tails as heavy as ``power`` makes them."""
    generator = torch.Generator().manual_seed(seed)
    normal = torch.randn(64, 300, generator=generator)
    rows = torch.rand(64, 1, generator=generator) + 0.1
    return normal.sign() * normal.abs() ** power * rows


def measured(value: Tensor, bound: float, centre: float = 0.0) -> float:
    """The loss by its definition, of codes that reach ``bound`` away from ``centre``."""
    step = bound / 127
    codes = ((value - centre) / step).round().clamp(-127, 127)
    error = (codes * step + centre - value).double().square()
    size = value.double().square()
    return float(error.sum() / size.sum() + (error.sum(1) / size.sum(1)).mean())


@given(st.integers(0, 99), st.sampled_from([1.0, 2.0, 3.0]), st.floats(0.02, 1.0))
def test_the_predicted_loss_is_the_measured(seed: int, power: float, part: float) -> None:
    value, histogram = values(seed, power), Histogram()
    for rows in value.split(16):
        histogram.update(rows)
    bound = part * value.abs().max().item()
    assert histogram.loss(bound) == pytest.approx(measured(value, bound), rel=0.2, abs=1e-6)


@given(st.integers(0, 99), st.sampled_from([1.0, 2.0, 3.0]))
def test_no_other_clipping_loses_less(seed: int, power: float) -> None:
    value, histogram = values(seed, power), Histogram()
    histogram.update(value)
    best, largest = histogram.best_bound(), value.abs().max().item()
    assert 0 < best <= largest * 1.01
    others = [largest * 2 ** (-step / 4) for step in range(24)]
    assert measured(value, best) <= 1.1 * min(measured(value, other) for other in others)


@given(st.integers(0, 99), st.sampled_from([1.0, 2.0, 3.0]), st.floats(0.0, 0.1))
def test_no_other_clipping_of_one_side_loses_less(seed: int, power: float, share: float) -> None:
    value, histogram = values(seed, power).abs(), Histogram()
    value[:, ::2] *= -share
    histogram.update(value)
    below, largest = -value.min().item(), value.max().item()

    def loss(bound: float) -> float:
        reach = (bound + min(bound, below)) / 2
        step = reach / 127
        return measured(value, reach, round((bound - reach) / step) * step)

    others = [largest * 2 ** (-step / 4) for step in range(12)]
    assert loss(histogram.best_bound(below)) <= 1.2 * min(loss(other) for other in others)


def test_an_outlying_token_and_the_others_both_count() -> None:
    value = torch.ones(100, 50)
    value[0, 0] = 400.0
    histogram = Histogram()
    histogram.update(value)
    assert histogram.loss(400.0) > 0.9, "the others vanish"
    assert histogram.loss(1.0) > 0.9, "the outlier vanishes"


def test_a_value_of_zeros_has_no_bound() -> None:
    histogram = Histogram()
    histogram.update(torch.zeros(3, 4))
    assert histogram.best_bound() == 0
    assert histogram.loss(1.0) == 0
