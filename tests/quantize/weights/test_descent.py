"""Coordinate descent on codes."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from vlmforge.quantize.weights import descent
from vlmforge.quantize.weights.descent import CoordinateDescent
from vlmforge.quantize.weights.formats import WeightFormat
from vlmforge.quantize.weights.scales import GroupScales, group_scales, pad_groups

IN, OUT = 70, 9
FORMATS = [WeightFormat(), WeightFormat(4), WeightFormat(4, 32)]


def hessian(seed: int) -> Tensor:
    x = torch.randn(200, IN, generator=torch.Generator().manual_seed(seed))
    x[:, 1:] += 0.7 * x[:, :-1]
    return x.T @ x / 200


def nearest(weight: Tensor, chosen: WeightFormat) -> tuple[Tensor, GroupScales, Tensor]:
    """Codes ``[in, out]`` by round to nearest, their scales, and the same of every column."""
    scales = group_scales(pad_groups(weight.T, chosen.group or IN), chosen.codes, None, False)
    if chosen.group is None:
        scales = GroupScales(scales.real[:, 0], None)
    of_columns = scales.real.T.repeat_interleave(chosen.group or IN, 0)[:IN]
    return chosen.codes.round(weight / of_columns), scales, of_columns


def loss(errors: Tensor, matrix: Tensor) -> float:
    return (errors * (matrix @ errors)).sum().item()


@given(st.sampled_from(FORMATS), st.integers(0, 1000))
def test_the_error_of_the_output_never_grows(chosen: WeightFormat, seed: int) -> None:
    weight = torch.randn(IN, OUT, generator=torch.Generator().manual_seed(seed))
    matrix = hessian(seed)
    codes, scales, of_columns = nearest(weight, chosen)
    before = loss(weight - codes * of_columns, matrix)
    CoordinateDescent(weight, codes, scales, matrix, chosen).run()
    assert set(codes.unique().tolist()) <= set(range(chosen.codes.lowest, chosen.codes.largest + 1))
    assert loss(weight - codes * of_columns, matrix) < 0.8 * before


@pytest.mark.parametrize("chosen", FORMATS)
def test_no_single_code_can_be_improved_in_the_end(
    chosen: WeightFormat, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(descent, "PASSES", 40)
    monkeypatch.setattr(descent, "BLOCK", 16)
    weight, matrix = torch.randn(IN, OUT, generator=torch.Generator().manual_seed(3)), hessian(3)
    codes, scales, of_columns = nearest(weight, chosen)
    CoordinateDescent(weight, codes, scales, matrix, chosen).run()
    least = loss(weight - codes * of_columns, matrix)
    for column, row in ((0, 0), (33, 4), (IN - 1, OUT - 1)):
        for change in (-1, 1):
            other = codes.clone()
            other[column, row] += change
            if chosen.codes.lowest <= other[column, row] <= chosen.codes.largest:
                assert loss(weight - other * of_columns, matrix) >= least * (1 - 1e-5)


def test_columns_that_do_not_go_together_stay_as_they_are() -> None:
    weight = torch.randn(IN, OUT, generator=torch.Generator().manual_seed(0))
    codes, scales, _ = nearest(weight, WeightFormat(4))
    kept = codes.clone()
    CoordinateDescent(weight, codes, scales, torch.eye(IN), WeightFormat(4)).run()
    assert torch.equal(codes, kept)
