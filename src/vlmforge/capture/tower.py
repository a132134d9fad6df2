"""The traceable vision encoder, for a fixed image size or any."""

from __future__ import annotations

from torch import Tensor, nn

from vlmforge.capture.modules import (
    ACTIVATIONS,
    Attention,
    GatedMLP,
    PatchEmbed,
    RMSNorm,
    Rope,
    RopeTable,
    Unturned,
)
from vlmforge.families.tower import MLPKind, NormKind, ProjectionKind, Tower, TowerSizes


def _norm(kind: NormKind, width: int, eps: float) -> nn.Module:
    return RMSNorm(width, eps) if kind == "rms_norm" else nn.LayerNorm(width, eps=eps)


class VisionAttention(nn.Module):
    """Bidirectional attention with q, k and v split."""

    def __init__(self, sizes: TowerSizes, *, turned: bool) -> None:
        super().__init__()
        width, bias = sizes.embed, sizes.input_bias
        self.q, self.k, self.v = (nn.Linear(width, width, bias=bias) for _ in range(3))
        self.proj = nn.Linear(width, width)
        self.q_rope, self.k_rope = (
            Rope(sizes.head_dim) if turned else Unturned() for _ in range(2)
        )
        self.attention = Attention(sizes.heads, sizes.heads, sizes.head_dim, causal=False)

    def forward(self, x: Tensor, rows: Tensor | None, visible: Tensor | None) -> Tensor:
        query, key = self.q_rope(self.q(x), rows), self.k_rope(self.k(x), rows)
        return self.proj(self.attention(query, key, self.v(x), visible))


class VisionMLP(nn.Module):
    """``fc2(act(fc1(x)))``."""

    def __init__(self, sizes: TowerSizes) -> None:
        super().__init__()
        self.fc1 = nn.Linear(sizes.embed, sizes.mlp)
        self.act = ACTIVATIONS[sizes.activation]()
        self.fc2 = nn.Linear(sizes.mlp, sizes.embed)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(self.act(self.fc1(x)))


def _mlp(kind: MLPKind, sizes: TowerSizes) -> nn.Module:
    if kind == "gated":
        return GatedMLP(sizes.embed, sizes.mlp, sizes.activation, bias=True)
    return VisionMLP(sizes)


class VisionBlock(nn.Module):
    """Pre-norm attention and MLP with residuals."""

    def __init__(self, sizes: TowerSizes, tower: Tower) -> None:
        super().__init__()
        self.norm1, self.norm2 = (_norm(tower.norm, sizes.embed, sizes.eps) for _ in range(2))
        self.attn = VisionAttention(sizes, turned=tower.rotary is not None)
        self.mlp = _mlp(tower.mlp, sizes)

    def forward(self, x: Tensor, rows: Tensor | None, visible: Tensor | None) -> Tensor:
        x = x + self.attn(self.norm1(x), rows, visible)
        return x + self.mlp(self.norm2(x))


class PatchMerger(nn.Module):
    """Joins each ``merge x merge`` group of patches into one token of the language model.

    The patches are normalized before they are joined, or as one row behind it.
    """

    def __init__(
        self,
        sizes: TowerSizes,
        norm: NormKind,
        *,
        grouped: bool,
        projection: ProjectionKind = "mlp",
        width: int | None = None,
        eps: float | None = None,
    ) -> None:
        super().__init__()
        self.joined, self.grouped = sizes.embed * sizes.merge**2, grouped
        self.ln_q = _norm(norm, self.joined if grouped else sizes.embed, eps or sizes.eps)
        self.fc1 = None
        width = width or self.joined
        if projection == "mlp":
            self.fc1 = nn.Linear(self.joined, width)
            self.act = nn.GELU()
        self.fc2 = nn.Linear(width, sizes.hidden, bias=projection == "mlp")

    def forward(self, x: Tensor) -> Tensor:
        if self.grouped:
            normed = self.ln_q(x.reshape(-1, self.joined))
        else:
            normed = self.ln_q(x).reshape(-1, self.joined)
        return self.fc2(normed if self.fc1 is None else self.act(self.fc1(normed)))


class VisionTransformer(nn.Module):
    """Patch embedding, blocks and mergers: features, and those of the mergers between blocks.

    Some blocks see of each patch what is ``visible``. Where some rows are not ``merged``, an index
    says which are.
    """

    def __init__(self, sizes: TowerSizes, tower: Tower, patch_embed: nn.Module) -> None:
        super().__init__()
        self.patch_embed = patch_embed
        self.blocks = nn.ModuleList([VisionBlock(sizes, tower) for _ in range(sizes.depth)])
        self.windowed = sizes.windowed
        self.merger = PatchMerger(
            sizes,
            tower.norm,
            grouped=tower.grouped,
            projection=tower.projection,
            width=sizes.merger,
            eps=sizes.merger_eps,
        )
        self.behind = {sizes.deepstack[merger]: merger for merger in sizes.mergers}
        mergers = {str(i): PatchMerger(sizes, tower.norm, grouped=True) for i in sizes.mergers}
        self.deepstack = nn.ModuleDict(mergers)

    def forward(
        self,
        pixels: Tensor,
        rows: Tensor | None = None,
        visible: Tensor | None = None,
        position_rows: Tensor | None = None,
        merged: Tensor | None = None,
    ) -> tuple[Tensor, ...]:
        x, further = self.patch_embed(pixels), []
        if position_rows is not None:
            x = x + position_rows
        for index, block in enumerate(self.blocks):
            x = block(x, rows, visible if self.windowed[index] else None)
            if index in self.behind:
                further.append(self.deepstack[str(self.behind[index])](x))
        return self.merger(x if merged is None else x.index_select(0, merged)), *further


class FixedEncoder(nn.Module):
    """Pixels ``[groups * patch, merge^2 * patch, channels]`` to features ``[groups, hidden]``.

    The rope rows of the fixed grid are a constant. ``visible`` and ``position_rows`` are as of
    :class:`DynamicEncoder`.
    """

    def __init__(self, sizes: TowerSizes, tower: Tower, rope_rows: Tensor) -> None:
        super().__init__()
        depth = sizes.channels * sizes.frames
        embed = PatchEmbed(sizes.embed, sizes.patch, depth, bias=sizes.patch_bias)
        self.model = VisionTransformer(sizes, tower, embed)
        self.model.register_buffer("rope_rows", rope_rows)

    def forward(
        self, images: Tensor, visible: Tensor | None = None, position_rows: Tensor | None = None
    ) -> tuple[Tensor, ...]:
        return self.model(images, self.model.rope_rows, visible, position_rows)


class DynamicEncoder(nn.Module):
    """Patches ``[4 * groups, channels * frames * patch^2]`` to features ``[groups, hidden]``.

    ``position_ids`` is ``[3, 4 * groups]``: row and column of each patch, and zeros. With windows
    there is ``visible`` ``[4 * groups, 2]``: where each patch's window begins, and where it ends;
    with learned positions ``position_rows`` ``[4 * groups, embed]``.
    """

    def __init__(self, sizes: TowerSizes, tower: Tower, table: RopeTable) -> None:
        super().__init__()
        width = sizes.channels * sizes.frames * sizes.patch**2
        embed = nn.Linear(width, sizes.embed, bias=sizes.patch_bias)
        self.model = VisionTransformer(sizes, tower, embed)
        self.rotary_emb = table

    def forward(
        self,
        patches: Tensor,
        position_ids: Tensor,
        visible: Tensor | None = None,
        position_rows: Tensor | None = None,
    ) -> tuple[Tensor, ...]:
        return self.model(patches, self.rotary_emb(position_ids), visible, position_rows)


class TileEncoder(nn.Module):
    """Patches ``[rows, channels * frames * patch^2]`` of a tile to features ``[groups, hidden]``.

    ``position_rows`` is ``[rows, embed]``; ``merged`` ``[merge^2 * groups]`` says which rows, none
    of them the class token's, are joined into groups.
    """

    def __init__(self, sizes: TowerSizes, tower: Tower) -> None:
        super().__init__()
        width = sizes.channels * sizes.frames * sizes.patch**2
        embed = nn.Linear(width, sizes.embed, bias=sizes.patch_bias)
        self.model = VisionTransformer(sizes, tower, embed)

    def forward(self, patches: Tensor, position_rows: Tensor, merged: Tensor) -> tuple[Tensor, ...]:
        return self.model(patches, position_rows=position_rows, merged=merged)
