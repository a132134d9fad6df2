"""Products of codes: exact sums, on any machine."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.arithmetic.machines import require_equal
from vlmforge.arithmetic.whole import add_gram, whole_product
from vlmforge.program import layout

LIMITS = {torch.int8: 127, torch.int16: 32767}


def codes_of(*shape: int, dtype: torch.dtype = torch.int8, seed: int = 0) -> Tensor:
    """Any codes of a dtype, the largest included."""
    limit = LIMITS[dtype]
    found = torch.randint(
        -limit, limit + 1, shape, generator=torch.Generator().manual_seed(seed), dtype=dtype
    )
    found.view(-1)[0] = -limit
    return found


def rounded(sums: Tensor, multiplier: np.ndarray) -> Tensor:
    """Exact sums as a program gives real numbers."""
    return torch.from_numpy(sums.numpy().astype(np.float32) * multiplier)


@pytest.mark.parametrize("dtype", [torch.int8, torch.int16])
@pytest.mark.parametrize("shape", [(1, 1, 1), (13, 70, 33), (130, 300, 40)])
def test_a_product_of_int8_weights(
    monkeypatch: pytest.MonkeyPatch, shape: tuple[int, int, int], dtype: torch.dtype
) -> None:
    rows, features, outputs = shape
    x, weight = codes_of(rows, features, dtype=dtype), codes_of(outputs, features, seed=1)
    multiplier = np.linspace(1e-4, 2e-4, outputs, dtype=np.float32)
    bias = np.arange(outputs) * 1_000_003
    packed = layout.pack(weight.numpy())
    found = require_equal(monkeypatch, lambda: whole_product(x, packed, None, 0, multiplier, bias))
    sums = x.long() @ weight.long().T + torch.from_numpy(bias)
    assert torch.equal(found, rounded(sums, multiplier))


def test_a_product_of_groups_of_int4_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    x, weight = codes_of(20, 100), codes_of(24, 100, seed=1) // 16
    scales = codes_of(24, 4, seed=2)
    multiplier = np.full(24, 3e-5, np.float32)
    packed = layout.pack_int4(weight.numpy()), layout.pack_group_scale(scales.numpy()), 32
    found = require_equal(monkeypatch, lambda: whole_product(x, *packed, multiplier, None))
    whole = weight.long() * scales.long().repeat_interleave(32, 1)[:, :100]
    assert torch.equal(found, rounded(x.long() @ whole.T, multiplier))


@pytest.mark.parametrize("shape", [(1, 1), (5, 17), (300, 96), (67, 250), (1001, 40)])
def test_a_gram_matrix(monkeypatch: pytest.MonkeyPatch, shape: tuple[int, int]) -> None:
    x, more = codes_of(*shape), codes_of(3, shape[1], seed=1)

    def gram() -> Tensor:
        sums = torch.zeros(shape[1], shape[1], dtype=torch.int32)
        add_gram(sums, x)
        add_gram(sums, more)
        return sums.triu()

    wanted = x.long().T @ x.long() + more.long().T @ more.long()
    assert torch.equal(require_equal(monkeypatch, gram).long(), wanted.triu())


def test_the_largest_sums_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    x = torch.full((65536, 2), 127, dtype=torch.int8)
    x[:, 1] = -127

    def gram() -> Tensor:
        sums = torch.zeros(2, 2, dtype=torch.int32)
        add_gram(sums, x)
        return sums.triu()

    most = 127 * 127 * 65536
    assert require_equal(monkeypatch, gram).tolist() == [[most, -most], [0, most]]


def test_what_does_not_fit_is_refused() -> None:
    packed, multiplier = layout.pack(codes_of(16, 8).numpy()), np.ones(16, np.float32)
    with pytest.raises(ValueError, match="fit"):
        whole_product(codes_of(3, 9), packed, None, 0, multiplier, None)
    with pytest.raises(ValueError, match="fit"):
        add_gram(torch.zeros(3, 3, dtype=torch.int32), codes_of(5, 4))
