"""Formats, scales and rounding of weights."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from vlmforge.graph.core import Weight
from vlmforge.quantize.weights.formats import QuantizedWeight, WeightFormat, quantize_weight
from vlmforge.quantize.weights.scales import CodeRange, search_scale, whole_range_scale

FORMATS = st.builds(
    WeightFormat,
    bits=st.just(4),
    group=st.sampled_from([None, 32, 64, 128]),
    search=st.booleans(),
)


def normal(rows: int, columns: int, seed: int = 0) -> Tensor:
    return torch.randn(rows, columns, generator=torch.Generator().manual_seed(seed))


def error(weight: Tensor, quantized: QuantizedWeight) -> float:
    """Mean squared difference."""
    return (quantized.dequantized() - weight).square().mean().item()


@given(st.integers(1, 40), st.integers(1, 50), st.integers(0, 1000), st.floats(1e-6, 1e6))
def test_int8_weights_round_to_nearest(rows: int, columns: int, seed: int, size: float) -> None:
    weight = normal(rows, columns, seed) * size
    quantized = quantize_weight(Weight.of(weight))
    assert np.abs(quantized.codes.astype(int)).max() <= 127
    distance = np.abs(quantized.codes * quantized.scales[:, None] - weight.double().numpy())
    assert (distance <= quantized.scales[:, None] * 0.5 * (1 + 1e-9)).all()


@given(FORMATS, st.integers(1, 40), st.integers(1, 300), st.integers(0, 1000))
def test_int4_weights_round_to_nearest(
    chosen: WeightFormat, rows: int, columns: int, seed: int
) -> None:
    weight = normal(rows, columns, seed) * torch.logspace(-3, 3, rows)[:, None]
    quantized = quantize_weight(Weight.of(weight), chosen)
    assert quantized.codes.shape == (rows, columns)
    assert set(np.unique(quantized.codes)) <= set(range(-8, 8))
    scale = quantized.scales[:, None]
    if chosen.group is not None:
        assert quantized.group_scale is not None
        assert (quantized.scales > 0).all()
        assert (quantized.group_scale != 0).all()
        assert quantized.group_scale.shape == (rows, -(-columns // chosen.group))
        assert (np.abs(quantized.group_scale.astype(int)).max(axis=1) == 127).all()
        scale = scale * quantized.group_scale.repeat(chosen.group, axis=1)[:, :columns]
    real = quantized.codes * scale
    np.testing.assert_allclose(quantized.dequantized().numpy(), real, rtol=1e-5)
    near = np.abs(real - weight.double().numpy()) <= np.abs(scale) * 0.5 * (1 + 1e-9)
    assert (near | np.isin(quantized.codes, (-8, 7))).all()


@pytest.mark.parametrize("chosen", [WeightFormat(), WeightFormat(4), WeightFormat(4, 32, True)])
def test_a_dead_row_has_zero_codes(chosen: WeightFormat) -> None:
    quantized = quantize_weight(Weight.of(torch.tensor([[0.0, 0.0], [1.0, -2.0]])), chosen)
    assert quantized.codes[0].tolist() == [0, 0]
    assert np.isfinite(quantized.scales).all()
    assert quantized.codes[1, 1] == chosen.codes.lowest


@pytest.mark.parametrize("chosen", [WeightFormat(), WeightFormat(4), WeightFormat(4, 64)])
def test_scales_keep_the_lower_bound(chosen: WeightFormat) -> None:
    floor = np.array([1e-9, 5.0])
    quantized = quantize_weight(Weight.of(normal(2, 70)), chosen, floor)
    assert abs(quantized.scales[1]) == 5.0
    assert 1e-9 < abs(quantized.scales[0]) < 1.0


def test_smaller_groups_lose_less() -> None:
    weight = normal(16, 512) * torch.logspace(-1, 1, 512)[torch.randperm(512)]
    formats = [WeightFormat(4, group) for group in (None, 128, 64, 32)]
    errors = [error(weight, quantize_weight(Weight.of(weight), each)) for each in formats]
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] < 0.8 * errors[0]


@pytest.mark.parametrize("group", [None, 128])
def test_a_search_loses_less_than_the_largest_weight_on_the_largest_code(group: int | None) -> None:
    weight = normal(8, 1024)
    plain = error(weight, quantize_weight(Weight.of(weight), WeightFormat(4, group)))
    found = error(weight, quantize_weight(Weight.of(weight), WeightFormat(4, group, True)))
    assert found < 0.9 * plain


def test_a_search_clips_columns_that_do_not_count() -> None:
    weight = torch.tensor([[4.0, 0.9, -0.7, 0.5, 0.3, -0.1]])
    importance = torch.tensor([1e-6, 1.0, 1.0, 1.0, 1.0, 1.0])
    few = CodeRange(-8, 7)
    clipped, kept = search_scale(weight, few, importance), search_scale(weight, few)
    assert abs(clipped) < 0.6 * abs(kept)


@pytest.mark.parametrize(
    ("weights", "scale"),
    [([7.0, -8.0], 1.0), ([8.0, -7.0], -1.0), ([8.0, -8.0], 8 / 7), ([-16.0], 2.0), ([0.0], 0.0)],
)
def test_the_sign_of_a_scale_turns_the_lowest_code_to_the_largest_weight(
    weights: list[float], scale: float
) -> None:
    found = whole_range_scale(torch.tensor([weights]), CodeRange(-8, 7))
    torch.testing.assert_close(found, torch.tensor([scale]))


def test_rows_in_blocks_give_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    weight, chosen = Weight.of(normal(50, 70)), WeightFormat(4, 32, True)
    whole = quantize_weight(weight, chosen, np.full(50, 1e-3))
    monkeypatch.setattr("vlmforge.quantize.weights.formats.ROWS", 7)
    parts = quantize_weight(weight, chosen, np.full(50, 1e-3))
    np.testing.assert_array_equal(parts.codes, whole.codes)
    np.testing.assert_array_equal(parts.scales, whole.scales)
    np.testing.assert_array_equal(parts.group_scale, whole.group_scale)
