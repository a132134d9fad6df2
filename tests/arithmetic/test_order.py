"""StatedOrder: torch's operators in the stated order."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from tests.arithmetic.machines import normal, require_equal
from vlmforge.arithmetic.order import StatedOrder
from vlmforge.arithmetic.products import linear


def encoder(dtype: torch.dtype = torch.float32) -> Tensor:
    """What a vision encoder is made of."""

    def weight(*shape: int) -> Tensor:
        return (normal(*shape, seed=len(shape)) * 0.2).to(dtype)

    image = normal(2, 3, 32, 48).to(dtype)
    x = F.conv2d(image, weight(64, 3, 8, 8), weight(64), stride=8).flatten(2).mT
    x = F.layer_norm(x, (64,), weight(64), weight(64))
    heads = (
        F.linear(x, weight(192, 64), weight(192)).unflatten(2, (3, 4, 16)).permute(2, 0, 3, 1, 4)
    )
    seen = torch.arange(24)[None] // 12 == torch.arange(24)[:, None] // 12
    x = F.scaled_dot_product_attention(*heads, attn_mask=seen).transpose(1, 2).flatten(2)
    x = x + F.gelu(x) + F.silu(x) + F.gelu(x, approximate="tanh") + torch.sigmoid(x)
    x = x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-6)
    angles = torch.arange(24)[:, None] * torch.rand(64, generator=torch.Generator().manual_seed(3))
    return x * angles.cos().to(dtype) + (x @ weight(64, 64)) * angles.sin().to(dtype)


@torch.inference_mode()
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_no_machine_changes_a_bit(monkeypatch: pytest.MonkeyPatch, dtype: torch.dtype) -> None:
    def ordered() -> Tensor:
        with StatedOrder():
            return encoder(dtype)

    found = require_equal(monkeypatch, ordered)
    assert found.dtype == dtype
    near = 1e-5 if dtype == torch.float32 else 0.1
    torch.testing.assert_close(found, encoder(dtype), atol=near, rtol=near)


@torch.inference_mode()
def test_operators_are_those_of_the_package() -> None:
    x, weight = normal(30, 40), normal(50, 40, seed=1)
    with StatedOrder():
        found = F.linear(x, weight)
    assert torch.equal(found, linear(x, weight))


@torch.inference_mode()
def test_what_is_none_of_its_operators_stays_torchs() -> None:
    image, weight = normal(1, 3, 9, 9), normal(4, 3, 3, 3)
    query = normal(1, 2, 5, 8)
    some = torch.tensor([True, False, True, False, True]).expand(5, 5)
    with StatedOrder():
        overlapping = F.conv2d(image, weight)
        holes = F.scaled_dot_product_attention(query, query, query, attn_mask=some)
        whole = torch.arange(6).view(2, 3).float().mean()
    assert torch.equal(overlapping, F.conv2d(image, weight))
    assert torch.equal(holes, F.scaled_dot_product_attention(query, query, query, attn_mask=some))
    assert whole == 2.5
