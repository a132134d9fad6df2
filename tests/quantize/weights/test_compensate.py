"""Rounding with error compensation."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.tasks.copies import Copies
from vlmforge.errors import CalibrationError
from vlmforge.graph.core import Weight
from vlmforge.quantize.weights import compensate as compensation
from vlmforge.quantize.weights.compensate import Compensation, compensate
from vlmforge.quantize.weights.formats import QuantizedWeight, WeightFormat, quantize_weight
from vlmforge.quantize.weights.hessian import RealHessian, inverse_factor

FORMATS = [WeightFormat(), WeightFormat(4, None, True), WeightFormat(4, 32, True)]


def correlated(rows: int, columns: int, seed: int = 0) -> Tensor:
    """Inputs whose columns go together and differ in size."""
    generator = torch.Generator().manual_seed(seed)
    mixing = torch.randn(columns // 3, columns, generator=generator)
    x = torch.randn(rows, columns // 3, generator=generator) @ mixing
    noise = torch.randn(rows, columns, generator=generator)
    return (x + noise) * torch.linspace(0.3, 2, columns)


def hessian_of(x: Tensor, damping: float = 0.01) -> Tensor:
    hessian = RealHessian(x.shape[1])
    for part in x.split(64):
        hessian.add(part)
    return hessian.damped(damping)


def output_error(x: Tensor, weight: Tensor, quantized: QuantizedWeight) -> float:
    return (x @ (quantized.dequantized() - weight).T).square().mean().item()


@pytest.mark.parametrize("order", [False, True])
@pytest.mark.parametrize("chosen", FORMATS)
def test_outputs_change_less_than_by_rounding_to_nearest(chosen: WeightFormat, order: bool) -> None:
    x, unseen = correlated(1000, 77).split(700)
    weight = torch.randn(40, 77, generator=torch.Generator().manual_seed(1))
    settings = Compensation(order=order, block=16)
    compensated = compensate(Weight.of(weight), hessian_of(x), chosen, settings)
    nearest = quantize_weight(Weight.of(weight), chosen)
    assert compensated.codes.shape == (40, 77)
    assert set(np.unique(compensated.codes)) <= set(range(chosen.codes[0], chosen.codes[1] + 1))
    for rows in (x, unseen):
        ratio = output_error(rows, weight, compensated) / output_error(rows, weight, nearest)
        assert ratio < 0.6


@pytest.mark.parametrize("chosen", FORMATS)
def test_independent_inputs_leave_nothing_to_compensate(chosen: WeightFormat) -> None:
    weight = Weight.of(torch.randn(20, 70, generator=torch.Generator().manual_seed(1)))
    compensated = compensate(weight, torch.eye(70), chosen, Compensation())
    nearest = quantize_weight(weight, chosen)
    agree = compensated.codes == nearest.codes
    assert agree.mean() > 0.999  # float32 against float64 at a tie
    np.testing.assert_allclose(compensated.scales, nearest.scales, rtol=1e-6)


@pytest.mark.parametrize("chosen", FORMATS)
def test_blocks_of_rows_and_columns_change_nothing_but_the_last_digits(
    chosen: WeightFormat, monkeypatch: pytest.MonkeyPatch
) -> None:
    weight = Weight.of(torch.randn(30, 70, generator=torch.Generator().manual_seed(1)))
    hessian = hessian_of(correlated(400, 70))
    whole = compensate(weight, hessian, chosen, Compensation(block=70))
    monkeypatch.setattr("vlmforge.quantize.weights.compensate.ROWS", 11)
    parts = compensate(weight, hessian, chosen, Compensation(block=5))
    assert (whole.codes == parts.codes).mean() > 0.98
    if chosen.group is None:
        np.testing.assert_allclose(parts.scales, whole.scales, rtol=1e-6)


def test_columns_and_groups_return_to_their_places() -> None:
    """The last, short group is the most important and so the first to be rounded."""
    weight = torch.ones(16, 70)
    weight[:, :32] *= 0.2
    weight[:, 64:] *= 5
    hessian = torch.eye(70) * torch.linspace(1, 3, 70)
    quantized = compensate(Weight.of(weight), hessian, WeightFormat(4, 32), Compensation())
    torch.testing.assert_close(quantized.dequantized(), weight, rtol=0.15, atol=0)
    assert quantized.group_scale is not None
    assert quantized.group_scale[0].tolist() == [-5, -25, -127]


def test_scales_keep_the_lower_bound() -> None:
    weight = Weight.of(torch.randn(2, 64, generator=torch.Generator().manual_seed(1)))
    floor = np.array([1e-9, 5.0])
    for chosen in FORMATS:
        quantized = compensate(weight, torch.eye(64), chosen, Compensation(), floor)
        assert abs(quantized.scales[1]) == 5.0 > abs(quantized.scales[0]) > 1e-9


def test_the_factor_is_that_of_the_inverse() -> None:
    matrix = hessian_of(correlated(300, 50)).double()
    factor = inverse_factor(matrix, torch.arange(50))
    assert torch.equal(factor, factor.triu())
    torch.testing.assert_close(factor.T @ factor, matrix.inverse())


def test_a_singular_matrix_is_damped_until_it_has_a_factor() -> None:
    row = torch.randn(1, 40, generator=torch.Generator().manual_seed(0))
    assert inverse_factor(row.T @ row, torch.arange(40)).isfinite().all()
    with pytest.raises(CalibrationError, match="not finite"):
        inverse_factor(torch.full((4, 4), float("nan")), torch.arange(4))


def test_the_hessian_is_the_mean_of_the_squares(monkeypatch: pytest.MonkeyPatch) -> None:
    x = correlated(300, 50)
    for block in (512, 16):
        monkeypatch.setattr("vlmforge.quantize.weights.hessian.BLOCK", block)
        matrix = hessian_of(x, 0.0)
        damping = 0.5 * 50 / 300 * x.square().mean()
        torch.testing.assert_close(matrix, x.T @ x / 300 + damping * torch.eye(50))


def test_fewer_rows_are_damped_more() -> None:
    x = correlated(1000, 40)
    shares = [hessian_of(rows).diagonal().mean() / rows.square().mean() for rows in (x[:20], x)]
    torch.testing.assert_close(torch.stack(shares), torch.tensor([2.01, 1.03]), rtol=1e-4, atol=0)


def test_rows_of_zeros_are_no_problem() -> None:
    matrix = hessian_of(torch.zeros(10, 6))
    weight = Weight.of(torch.randn(3, 6))
    quantized = compensate(weight, matrix, WeightFormat(4), Compensation())
    np.testing.assert_array_equal(quantized.codes, quantize_weight(weight, WeightFormat(4)).codes)


def arrays(quantized: QuantizedWeight) -> list[np.ndarray]:
    found = (quantized.codes, quantized.scales, quantized.group_scale)
    return [each for each in found if each is not None]


@pytest.mark.parametrize("chosen", FORMATS)
@pytest.mark.parametrize(("rows", "width"), [(16384, 3), (16384, 41), (7, 2), (7, 1)])
def test_whoever_rounds_how_many_channels_makes_the_same_bytes(
    chosen: WeightFormat, rows: int, width: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    weight = Weight.of(torch.randn(41, 77, generator=torch.Generator().manual_seed(1)))
    hessian, floor = hessian_of(correlated(300, 77)), np.linspace(1e-4, 2e-2, 41)
    settings = Compensation(block=16)
    whole = compensate(weight, hessian, chosen, settings, floor)
    monkeypatch.setattr(compensation, "ROWS", rows)
    pieces = compensate(weight, hessian, chosen, settings, floor, Copies(width))
    for one, other in zip(arrays(whole), arrays(pieces), strict=True):
        assert one.dtype == other.dtype and np.array_equal(one, other)
