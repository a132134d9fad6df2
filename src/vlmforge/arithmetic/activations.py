"""Activation functions, element by element: as the integer machine has them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

import torch
import torch.nn.functional as F
from torch import Tensor

from vlmforge.arithmetic.kernels import real_kernels


def _quick_gelu(x: Tensor) -> Tensor:
    return x * torch.sigmoid(1.702 * x)


def _gelu_tanh(x: Tensor) -> Tensor:
    return F.gelu(x, approximate="tanh")


_LIBRARY: Final[Mapping[str, Callable[[Tensor], Tensor]]] = {
    "sigmoid": torch.sigmoid,
    "silu": F.silu,
    "gelu": F.gelu,
    "quick_gelu": _quick_gelu,
    "gelu_tanh": _gelu_tanh,
}


def activation(name: str, x: Tensor) -> Tensor:
    """A function of ``x``, of any shape.

    Its name is ``"sigmoid"``, ``"silu"``, ``"gelu"``, ``"quick_gelu"`` or ``"gelu_tanh"``.
    """
    real = real_kernels(x)
    if real is None:
        return _LIBRARY[name](x)
    elements = x.detach().reshape(-1).contiguous()
    found = elements.new_empty(elements.shape)
    real.apply(name, elements.numpy(), found.numpy())
    return found.reshape(x.shape)
