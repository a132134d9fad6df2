"""The traceable vision encoder, for a fixed image size or any."""

from __future__ import annotations

from torch import Tensor, nn

from vlmforge.capture.modules import ACTIVATIONS, Attention, PatchEmbed, RMSNorm, Rope, RopeTable
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
    """Patch embedding, blocks and merger."""

    def __init__(self, sizes: TowerSizes, norm: NormKind, patch_embed: nn.Module) -> None:
        super().__init__()
        self.patch_embed = patch_embed
        self.blocks = nn.ModuleList([VisionBlock(sizes, norm) for _ in range(sizes.depth)])
        self.merger = PatchMerger(sizes, norm)

    def forward(self, pixels: Tensor, rows: Tensor) -> Tensor:
        x = self.patch_embed(pixels)
        for block in self.blocks:
            x = block(x, rows)
        return self.merger(x)


class FixedEncoder(nn.Module):
    """Pixels ``[groups * patch, merge^2 * patch, channels]`` to features ``[groups, hidden]``.

    The rope rows of the fixed grid are a constant.
    """

    def __init__(self, sizes: TowerSizes, norm: NormKind, rope_rows: Tensor) -> None:
        super().__init__()
        depth = sizes.channels * sizes.frames
        embed = PatchEmbed(sizes.embed, sizes.patch, depth)
        self.model = VisionTransformer(sizes, norm, embed)
        self.model.register_buffer("rope_rows", rope_rows)

    def forward(self, images: Tensor) -> Tensor:
        return self.model(images, self.model.rope_rows)


class DynamicEncoder(nn.Module):
    """Patches ``[4 * groups, channels * frames * patch^2]`` to features ``[groups, hidden]``.

    ``position_ids`` is ``[3, 4 * groups]``: row and column of each patch, and zeros.
    """

    def __init__(self, sizes: TowerSizes, norm: NormKind, table: RopeTable) -> None:
        super().__init__()
        width = sizes.channels * sizes.frames * sizes.patch**2
        embed = nn.Linear(width, sizes.embed, bias=False)
        self.model = VisionTransformer(sizes, norm, embed)
        self.rotary_emb = table

    def forward(self, patches: Tensor, position_ids: Tensor) -> Tensor:
        return self.model(patches, self.rotary_emb(position_ids))
