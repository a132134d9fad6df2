"""Rounding column by column: the native loops do what torch's do, to the last bit."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from tests.arithmetic.machines import everywhere, normal
from vlmforge.arithmetic import rounding
from vlmforge.arithmetic.rounding import descend_columns, round_columns

COLUMNS, OUTPUTS = 40, 300

LIMITS = (-8, 7)


def rounded() -> list[Tensor]:
    weight, codes = normal(COLUMNS, OUTPUTS), torch.empty(COLUMNS, OUTPUTS)
    factor = normal(COLUMNS, 60, seed=1)[:, 10 : 10 + COLUMNS].triu() * 0.1
    factor.diagonal().add_(1)
    scale = normal(OUTPUTS, seed=2).abs() * 0.1 + 0.1
    return [round_columns(weight, scale, factor, codes, LIMITS), weight, codes]


def descended() -> list[Tensor]:
    hessian = normal(COLUMNS, COLUMNS)
    hessian = hessian @ hessian.T / COLUMNS + torch.eye(COLUMNS)
    codes = normal(COLUMNS, OUTPUTS, seed=1).mul_(3).round_().clamp_(*LIMITS)
    errors = normal(COLUMNS, OUTPUTS, seed=2) * 0.1
    scales = (normal(OUTPUTS, seed=3).abs() * 0.1 + 0.1).expand(COLUMNS, OUTPUTS)
    gradient = hessian @ errors
    descend_columns(gradient, hessian, scales, codes, errors, LIMITS)
    return [codes, errors]


@pytest.mark.parametrize("compute", [rounded, descended])
def test_the_kernels_compute_what_torch_does(
    monkeypatch: pytest.MonkeyPatch, compute: object
) -> None:
    assert callable(compute)
    found = everywhere(monkeypatch, compute)
    monkeypatch.setattr(rounding, "real_kernels", lambda *tensors: None)
    wanted = compute()
    for each in found:
        assert all(map(torch.equal, each, wanted))
