"""Norms, activations and attention: near torch's, with the same bits on every machine."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from tests.arithmetic.machines import normal, require_equal
from vlmforge.arithmetic import attention as attentions
from vlmforge.arithmetic.activations import activation
from vlmforge.arithmetic.attention import Operands, attention, causal, whole
from vlmforge.arithmetic.norms import layer_norm, rms_norm
from vlmforge.fixed_point import sigmoid

FUNCTIONS = {
    "sigmoid": torch.sigmoid,
    "silu": F.silu,
    "gelu": F.gelu,
    "quick_gelu": lambda x: x * torch.sigmoid(1.702 * x),
    "gelu_tanh": lambda x: F.gelu(x, approximate="tanh"),
}


@pytest.mark.parametrize("columns", [3, 16, 100, 896])
def test_norms(monkeypatch: pytest.MonkeyPatch, columns: int) -> None:
    x = normal(70, columns) * 3 + 1
    found = require_equal(monkeypatch, lambda: rms_norm(x, 1e-6))
    torch.testing.assert_close(found, F.rms_norm(x, (columns,), None, 1e-6), atol=1e-5, rtol=1e-5)
    found = require_equal(monkeypatch, lambda: layer_norm(x, 1e-6))
    torch.testing.assert_close(found, F.layer_norm(x, (columns,), eps=1e-6), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_activations(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    x = normal(123, 77) * 4
    found = require_equal(monkeypatch, lambda: activation(name, x))
    torch.testing.assert_close(found, FUNCTIONS[name](x), atol=2e-6, rtol=1e-5)
    assert torch.equal(found[50:60], activation(name, x[50:60]))


def test_sigmoid_is_the_machines() -> None:
    x = normal(1000) * 5
    assert torch.equal(activation("sigmoid", x), torch.from_numpy(sigmoid(x.numpy())))


def operands(rows: int, keys: int, heads: int = 4, kv_heads: int = 2, dim: int = 24) -> Operands:
    shapes = ((rows, heads), (keys, kv_heads), (keys, kv_heads))
    return Operands(*(normal(n, h * dim, seed=i) for i, (n, h) in enumerate(shapes)))


def windows(rows: int) -> Tensor:
    """Each run of 50 rows sees itself."""
    first = torch.arange(rows) // 50 * 50
    return torch.stack([first, (first + 50).clamp_max(rows)], 1)


@pytest.mark.parametrize("kind", ["causal", "whole", "windows", "later"])
@pytest.mark.parametrize("rounded", [False, True], ids=["float32", "bfloat16"])
def test_attention(monkeypatch: pytest.MonkeyPatch, kind: str, rounded: bool) -> None:
    rows, keys = 300, 310 if kind == "later" else 300
    visible = {
        "causal": causal(torch.arange(rows)),
        "later": causal(torch.arange(rows) + 10),
        "whole": whole(rows, keys, torch.device("cpu")),
        "windows": windows(rows),
    }[kind]
    given = operands(rows, keys)
    found = require_equal(monkeypatch, lambda: attention(given, visible, 24, 0.2, rounded=rounded))
    monkeypatch.setattr(attentions, "real_kernels", lambda *tensors: None)
    near = 0.02 if rounded else 1e-5
    torch.testing.assert_close(found, attention(given, visible, 24, 0.2), atol=near, rtol=near)


def test_attention_of_nothing() -> None:
    given = operands(0, 5)
    assert attention(given, whole(0, 5, torch.device("cpu")), 24, 0.2).shape == (0, 96)
