"""The traceable vision encoder, for a fixed image size."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from vlmforge.capture.modules import ACTIVATIONS, Attention, PatchEmbed, RMSNorm, Rope
from vlmforge.families.tower import NormKind, TowerSizes


def _norm(kind: NormKind, sizes: TowerSizes) -> nn.Module:
    if kind == "rms_norm":
        return RMSNorm(sizes.embed, sizes.eps)
    return nn.LayerNorm(sizes.embed, eps=sizes.eps)


class VisionAttention(nn.Module):
    """Bidirectional attention with q, k and v split."""

    def __init__(self, sizes: TowerSizes) -> None:
        super().__init__()
        self.q, self.k, self.v, self.proj = (nn.Linear(sizes.embed, sizes.embed) for _ in range(4))
        self.q_rope, self.k_rope = Rope(sizes.head_dim), Rope(sizes.head_dim)
        self.attention = Attention(sizes.heads, sizes.heads, sizes.head_dim, causal=False)

    def forward(self, x: Tensor, rows: Tensor) -> Tensor:
        query, key = self.q_rope(self.q(x), rows), self.k_rope(self.k(x), rows)
        return self.proj(self.attention(query, key, self.v(x), None))


class VisionMLP(nn.Module):
    """``fc2(act(fc1(x)))``."""

    def __init__(self, sizes: TowerSizes) -> None:
        super().__init__()
        self.fc1 = nn.Linear(sizes.embed, sizes.mlp)
        self.act = ACTIVATIONS[sizes.activation]()
        self.fc2 = nn.Linear(sizes.mlp, sizes.embed)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(self.act(self.fc1(x)))


class VisionBlock(nn.Module):
    """Pre-norm attention and MLP with residuals."""

    def __init__(self, sizes: TowerSizes, norm: NormKind) -> None:
        super().__init__()
        self.norm1 = _norm(norm, sizes)
        self.attn = VisionAttention(sizes)
        self.norm2 = _norm(norm, sizes)
        self.mlp = VisionMLP(sizes)

    def forward(self, x: Tensor, rows: Tensor) -> Tensor:
        x = x + self.attn(self.norm1(x), rows)
        return x + self.mlp(self.norm2(x))


class PatchMerger(nn.Module):
    """Joins each ``merge x merge`` group of patches into one token of the language model."""

    def __init__(self, sizes: TowerSizes, norm: NormKind) -> None:
        super().__init__()
        self.joined = sizes.embed * sizes.merge**2
        self.ln_q = _norm(norm, sizes)
        self.fc1 = nn.Linear(self.joined, self.joined)
        self.act = nn.GELU()
        self.fc2 = nn.Linear(self.joined, sizes.hidden)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(self.act(self.fc1(self.ln_q(x).reshape(-1, self.joined))))


class VisionTransformer(nn.Module):
    """Patch embedding, blocks and merger; the rope rows of the fixed grid are a constant."""

    def __init__(self, sizes: TowerSizes, norm: NormKind, rope_rows: Tensor) -> None:
        super().__init__()
        self.register_buffer("rope_rows", rope_rows)
        self.patch_embed = PatchEmbed(sizes.embed, sizes.patch, sizes.channels * sizes.frames)
        self.blocks = nn.ModuleList([VisionBlock(sizes, norm) for _ in range(sizes.depth)])
        self.merger = PatchMerger(sizes, norm)

    def forward(self, images: Tensor) -> Tensor:
        x = self.patch_embed(images)
        for block in self.blocks:
            x = block(x, self.rope_rows)
        return self.merger(x)


class VisionEncoder(nn.Module):
    """Pixels ``[groups * patch, merge^2 * patch, channels]`` to features ``[groups, hidden]``."""

    def __init__(self, sizes: TowerSizes, norm: NormKind, rope_rows: Tensor) -> None:
        super().__init__()
        self.model = VisionTransformer(sizes, norm, rope_rows)

    def forward(self, images: torch.Tensor) -> Tensor:
        return self.model(images)
