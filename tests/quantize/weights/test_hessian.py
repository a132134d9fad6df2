"""The Hessian, and the factor that error compensation needs: the same on any machine."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from tests.arithmetic.machines import normal, require_equal
from vlmforge.errors import CalibrationError
from vlmforge.quantize.scales.grid import Grid
from vlmforge.quantize.weights import hessian as module
from vlmforge.quantize.weights.hessian import CodeHessian, RealHessian, hessian_of, inverse_factor


def damped(*samples: Tensor, grid: Grid | None = None) -> Tensor:
    """The damped second moment of the samples' rows."""
    hessian = hessian_of(samples[0].shape[1], grid, "cpu")
    for rows in samples:
        hessian.add(rows)
    return hessian.damped(0.05)


def test_no_machine_changes_a_bit(monkeypatch: pytest.MonkeyPatch) -> None:
    samples = [normal(100 + i, 600, seed=i) for i in range(3)]
    hessian = require_equal(monkeypatch, lambda: damped(*samples))
    assert torch.equal(hessian, hessian.T)
    rows = torch.cat(samples).double()
    damping = (hessian.diagonal().double() - rows.square().mean(0)).mean()
    wanted = rows.T @ rows / len(rows) + damping * torch.eye(600)
    torch.testing.assert_close(hessian.double(), wanted, atol=1e-4, rtol=1e-4)


def grid_of(scale: float, zero_point: int = 0) -> Grid:
    """The grid of int8 codes."""
    shift = torch.tensor(-scale * zero_point) if zero_point else None
    return Grid(torch.tensor(scale), 127, shift)


@pytest.mark.parametrize("zero_point", [0, -117])
def test_codes_give_what_they_stand_for_on_any_machine(
    monkeypatch: pytest.MonkeyPatch, zero_point: int
) -> None:
    grid = grid_of(0.03, zero_point)
    samples = [grid.codes(normal(100 + i, 600, seed=i) + 1) for i in range(3)]
    found = require_equal(monkeypatch, lambda: damped(*samples, grid=grid))
    assert torch.equal(found, found.T)
    wanted = damped(*(grid.real(rows).double().float() for rows in samples))
    torch.testing.assert_close(found, wanted, atol=1e-4, rtol=1e-4)


def test_how_codes_arrive_changes_no_bit(monkeypatch: pytest.MonkeyPatch) -> None:
    grid = grid_of(0.02, 5)
    rows = grid.codes(normal(500, 40))
    whole = damped(rows, grid=grid)
    monkeypatch.setattr(module, "AT_ONCE", 64)
    monkeypatch.setattr(module, "MOST_ROWS", 100)
    assert torch.equal(damped(*rows.split(30), grid=grid), whole)


def test_only_int8_codes_of_one_scale_are_summed_as_codes() -> None:
    assert isinstance(hessian_of(4, grid_of(0.1), "cpu"), CodeHessian)
    wide, channels = Grid(torch.tensor(0.1), 32767), Grid(torch.ones(4), 127)
    for grid in (None, wide, channels):
        assert isinstance(hessian_of(4, grid, "cpu"), RealHessian)
    codes = wide.codes(normal(50, 4))
    assert torch.equal(damped(codes, grid=wide), damped(wide.real(codes)))


def test_the_factor_of_the_inverse(monkeypatch: pytest.MonkeyPatch) -> None:
    hessian, order = damped(normal(400, 900)), torch.randperm(900)
    before = hessian.clone()
    factor = require_equal(monkeypatch, lambda: inverse_factor(hessian, order))
    assert torch.equal(factor, factor.triu()) and torch.equal(hessian, before)
    product = factor.double().T @ factor.double() @ hessian[order][:, order].double()
    torch.testing.assert_close(product, torch.eye(900).double(), atol=1e-3, rtol=1e-3)


def test_more_is_added_to_the_diagonal_of_an_indefinite_matrix() -> None:
    matrix = torch.eye(100)
    matrix[60, 60] = -1e-3
    factor = inverse_factor(matrix, torch.arange(100))
    added = 1 / factor.diagonal().square() - matrix.diagonal()
    torch.testing.assert_close(added, torch.full((100,), added[0].item()), rtol=1e-3, atol=0)
    assert 1e-3 < added[0] < 0.1


def test_inputs_that_are_no_numbers_are_refused() -> None:
    matrix = torch.eye(4)
    matrix[2, 2] = torch.nan
    with pytest.raises(CalibrationError, match="not finite"):
        inverse_factor(matrix, torch.arange(4))
