"""Sums of rows in sixteen lanes."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.arithmetic.machines import normal, require_equal
from vlmforge.arithmetic.sums import dots, mean, row_means, row_sums, total

LANES = 16


def stated(row: np.ndarray) -> np.generic:
    """The sum of a row as docs/numbers.md states it."""
    lanes = np.zeros(LANES, row.dtype)
    for start in range(0, len(row), LANES):
        part = row[start : start + LANES]
        lanes[: len(part)] += part
    for half in (8, 4, 2, 1):
        lanes[:half] += lanes[half : 2 * half]
    return lanes[0]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("columns", [1, 15, 16, 17, 1000])
def test_the_order_is_the_stated_one(
    monkeypatch: pytest.MonkeyPatch, columns: int, dtype: torch.dtype
) -> None:
    x = normal(3, columns, dtype=dtype)
    found = require_equal(monkeypatch, lambda: row_sums(x))
    assert found.tolist() == [float(stated(row)) for row in x.numpy()]


def test_rows_of_any_layout() -> None:
    x = normal(5, 40, 3).movedim(1, -1)
    assert torch.equal(row_sums(x), row_sums(x.contiguous()))
    assert row_sums(torch.empty(3, 0)).tolist() == [0, 0, 0]


def test_what_follows_from_sums() -> None:
    x, vector = normal(6, 50), normal(50, seed=1)
    assert torch.equal(row_means(x), row_sums(x) / 50)
    assert torch.equal(total(x), row_sums(x.reshape(1, -1))[0])
    assert torch.equal(mean(x), total(x) / 300)
    assert torch.equal(dots(x, vector), row_sums(x * vector))


def test_whole_numbers_are_summed_by_torch() -> None:
    x = torch.arange(12).reshape(3, 4)
    assert torch.equal(row_sums(x), x.sum(-1))


def test_no_number_of_threads_changes_a_bit(monkeypatch: pytest.MonkeyPatch) -> None:
    x: Tensor = normal(5000, 200)
    require_equal(monkeypatch, lambda: row_sums(x))
