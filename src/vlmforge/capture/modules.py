"""Traceable building blocks: torch modules that lower to exactly one graph node each."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vlmforge.capture import operators


class RMSNorm(nn.Module):
    """Root mean square normalization (Zhang and Sennrich 2019) over the last dimension."""

    def __init__(self, size: int, eps: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(size))
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        return F.rms_norm(x, self.weight.shape, self.weight, self.eps)


class HeadNorm(nn.Module):
    """RMSNorm of each head alone; the weight has a gain for every channel of every head."""

    def __init__(self, heads: int, head_dim: int, eps: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(heads * head_dim))
        self.head_dim, self.eps = head_dim, eps

    def forward(self, x: Tensor) -> Tensor:
        return operators.rms_norm(x, self.weight, self.head_dim, self.eps)


class RopeTable(nn.Module):
    """cos and sin for every position, looked up by M-RoPE position ids (Qwen2-VL, 2.1)."""

    def __init__(self, cos: Tensor, sin: Tensor, sections: list[int]) -> None:
        super().__init__()
        self.register_buffer("cos", cos)
        self.register_buffer("sin", sin)
        self.sections = sections

    def forward(self, position_ids: Tensor) -> Tensor:
        return operators.rope_lookup(position_ids, self.cos, self.sin, self.sections)


class Rope(nn.Module):
    """Rotary position embedding (Su et al. 2021, in the rotate-half form) of whole heads."""

    def __init__(self, head_dim: int) -> None:
        super().__init__()
        self.head_dim = head_dim

    def forward(self, x: Tensor, rows: Tensor) -> Tensor:
        return operators.rope(x, rows, self.head_dim)


class Unturned(nn.Module):
    """Stands where RoPE would, in layers without it."""

    def forward(self, x: Tensor, rows: Tensor) -> Tensor:
        return x


class Attention(nn.Module):
    """Scaled dot-product attention with grouped kv heads and an optional stateful KV cache.

    ``sees`` is an index ``[n]`` of the rows that causal queries are of, or the first key that each
    query sees and the one after its last, ``[n, 2]``.
    """

    def __init__(
        self,
        heads: int,
        kv_heads: int,
        head_dim: int,
        *,
        causal: bool,
        cache: str | None = None,
        scale: float | None = None,
    ) -> None:
        super().__init__()
        self.scale = head_dim**-0.5 if scale is None else scale
        self.heads, self.kv_heads, self.head_dim = heads, kv_heads, head_dim
        self.causal, self.cache = causal, cache

    def forward(self, query: Tensor, key: Tensor, value: Tensor, sees: Tensor | None) -> Tensor:
        sizes = (self.heads, self.kv_heads, self.head_dim)
        return operators.attention(
            query, key, value, sees, *sizes, self.scale, self.causal, self.cache
        )


class QuickGELU(nn.Module):
    """``x * sigmoid(1.702 x)`` (Hendrycks and Gimpel 2016)."""

    def forward(self, x: Tensor) -> Tensor:
        return operators.quick_gelu(x)


class GELUTanh(nn.Module):
    """``x * sigmoid(2 sqrt(2 / pi) (x + 0.044715 x^3))`` (Hendrycks and Gimpel 2016)."""

    def forward(self, x: Tensor) -> Tensor:
        return operators.gelu_tanh(x)


class PatchEmbed(nn.Module):
    """Convolution with kernel equal to stride over a channels-last image."""

    def __init__(self, out_features: int, kernel: int, channels: int, *, bias: bool) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(out_features, kernel, kernel, channels))
        self.bias = nn.Parameter(torch.empty(out_features)) if bias else None

    def forward(self, images: Tensor) -> Tensor:
        return operators.patch_embed(images, self.weight, self.bias)


ACTIVATIONS: dict[str, type[nn.Module]] = {
    "silu": nn.SiLU,
    "gelu": nn.GELU,
    "quick_gelu": QuickGELU,
    "gelu_pytorch_tanh": GELUTanh,
}
"""The activation functions of ``hidden_act`` that the machine has."""


class GatedMLP(nn.Module):
    """``down(act(gate(x)) * up(x))`` (Shazeer 2020)."""

    def __init__(self, width: int, channels: int, activation: str, *, bias: bool) -> None:
        super().__init__()
        self.gate_proj = nn.Linear(width, channels, bias=bias)
        self.up_proj = nn.Linear(width, channels, bias=bias)
        self.down_proj = nn.Linear(channels, width, bias=bias)
        self.act_fn = ACTIVATIONS[activation]()

    def forward(self, x: Tensor) -> Tensor:
        return self.down_proj(self.act_fn(self.gate_proj(x)) * self.up_proj(x))
