"""Counts of sizes: what NumPy counts, element after element."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.arithmetic.machines import normal
from vlmforge.arithmetic import sizes
from vlmforge.arithmetic.sizes import count_sizes
from vlmforge.errors import CalibrationError

SHIFT = 17


def test_every_element_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    rows, weights = normal(50, 300) ** 5, normal(50, seed=1).abs()
    rows[3, 4] = 0
    rows[5, 6] = torch.finfo(torch.float32).max
    elements, weighted = count_sizes(rows, weights, SHIFT)
    bins = (rows.abs().view(torch.int32) >> SHIFT).flatten().numpy()
    each = weights[:, None].expand_as(rows).flatten().numpy()
    assert np.array_equal(elements, np.bincount(bins, minlength=len(elements)))
    assert np.array_equal(weighted, np.bincount(bins, each, len(weighted)))
    monkeypatch.setattr(sizes, "real_kernels", lambda *tensors: None)
    by_library = count_sizes(rows, weights, SHIFT)
    assert np.array_equal(by_library, (elements, weighted))


@pytest.mark.parametrize("native", [True, False])
@pytest.mark.parametrize("bad", [torch.inf, -torch.inf, torch.nan])
def test_what_is_not_finite_is_refused(
    monkeypatch: pytest.MonkeyPatch, bad: float, native: bool
) -> None:
    if not native:
        monkeypatch.setattr(sizes, "real_kernels", lambda *tensors: None)
    rows = normal(4, 5)
    rows[1, 2] = bad
    with pytest.raises(CalibrationError, match="1 elements of a value are not finite"):
        count_sizes(rows, torch.ones(4), SHIFT)
