"""Weights in memory and the dtype of their rows."""

from __future__ import annotations

import pytest
import torch

from vlmforge.graph.core import Weight


@pytest.mark.parametrize(
    ("held", "read"),
    [
        (torch.bfloat16, torch.float32),
        (torch.float16, torch.float32),
        (torch.float32, torch.float32),
        (torch.int64, torch.float32),
        (torch.float64, torch.float64),
    ],
)
def test_float64_stays_and_all_else_is_read_as_float32(
    held: torch.dtype, read: torch.dtype
) -> None:
    tensor = torch.tensor([[1, 2], [3, 4], [5, 6]]).to(held)
    weight = Weight.of(tensor)
    assert weight.shape == (3, 2) and weight.read(1, 3).dtype == read
    torch.testing.assert_close(weight.load(), tensor.to(read), rtol=0, atol=0)


def test_a_product_is_rounded_to_the_dtype_of_its_rows() -> None:
    third, factor = 1 / 3, 0.1
    for dtype in (torch.float32, torch.float64):
        rows = Weight.of(torch.tensor([third], dtype=dtype)).times(factor).load()
        wanted = (torch.tensor([third], dtype=dtype).double() * factor).to(dtype)
        torch.testing.assert_close(rows, wanted, rtol=0, atol=0)
