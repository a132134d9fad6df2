"""Tower: the vision encoder of a family."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

from vlmforge.families.size import Size

BLOCKS = "visual.blocks."
"""Begins the canonical names of the weights of blocks."""

NormKind = Literal["layer_norm", "rms_norm"]

MLPKind = Literal["plain", "gated"]
"""``fc2(act(fc1(x)))``, or ``down_proj(act_fn(gate_proj(x)) * up_proj(x))``."""


@dataclass(frozen=True)
class TowerSizes:
    """The numbers that make one tower differ from another.

    Attributes:
        merge: patches along a side of a cell.
        patch_bias: whether the patch embedding has a bias.
        positions: rows of a table of learned positions that are added to the patches; 0 for none.
        deepstack: blocks behind which a merger gives further features (DeepStack, arXiv
            2406.04334), in the order of the mergers.
        window: cells along a side of a window; 0 where all blocks see whole images.
        whole: the blocks that see whole images although there are windows.
        tokens_per_second: positions that a second of a video takes in the decoder; None where each
            of its slices takes one.
    """

    embed: int
    depth: int
    heads: int
    mlp: int
    hidden: int
    patch: int
    channels: int
    frames: int
    merge: int
    activation: str
    eps: float = 1e-6
    patch_bias: bool = False
    positions: int = 0
    deepstack: tuple[int, ...] = ()
    window: int = 0
    whole: tuple[int, ...] = ()
    tokens_per_second: int | None = None

    @property
    def head_dim(self) -> int:
        return self.embed // self.heads

    @property
    def mergers(self) -> tuple[int, ...]:
        """Of each of the further features, in their order, which merger gives it."""
        behind = sorted({block for block in self.deepstack if block < self.depth})
        return tuple(map(self.deepstack.index, behind))

    @property
    def windowed(self) -> list[bool]:
        """Of each block whether it attends within windows."""
        return [self.window > 0 and block not in self.whole for block in range(self.depth)]


def stated_sizes(part: Any) -> TowerSizes:
    """The sizes in settings that call them as Qwen2.5-VL and its successors do."""
    return TowerSizes(
        embed=part.hidden_size,
        depth=part.depth,
        heads=part.num_heads,
        mlp=part.intermediate_size,
        hidden=part.out_hidden_size,
        patch=part.patch_size,
        channels=part.in_channels,
        frames=part.temporal_patch_size,
        merge=part.spatial_merge_size,
        activation=part.hidden_act,
    )


@dataclass(frozen=True)
class Tower:
    """A pre-norm encoder of patches with axial RoPE, whose merger joins groups of patches.

    Its modules are called as in :mod:`vlmforge.capture.tower`.

    Attributes:
        sizes: the sizes in its settings.
        stored: what its settings ask of the weights.
        rotary: makes transformers' rotary embedding of its settings: positions ``[n, 2]`` of rows
            and columns to cos and sin ``[n, head_dim]``.
        rotary_name: of that module within the tower's.
        names: of modules that the original calls otherwise, within the tower: a pattern of paths
            in :mod:`vlmforge.capture.tower`, and the original's.
        positions: the original's module of learned positions.
        fused: the original's module of queries, keys and values together, in place of ``q``,
            ``k`` and ``v``; None where it has three.
        norm: of blocks and merger.
        mlp: of blocks.
        depth: the setting that counts the blocks.
        settings: key of its settings in the configuration.
        path: of its module in the original model.
    """

    sizes: Callable[[Any], TowerSizes]
    stored: Callable[[Any], Iterator[Size]]
    rotary: Callable[[Any], Any]
    rotary_name: str = "rotary_pos_emb"
    names: tuple[tuple[str, str], ...] = ()
    positions: str = "pos_embed"
    fused: str | None = None
    norm: NormKind = "layer_norm"
    mlp: MLPKind = "plain"
    depth: str = "depth"
    settings: str = "vision_config"
    path: str = "model.visual"

    def part(self, settings: Any) -> Any:
        """The tower's part of a configuration."""
        return getattr(settings, self.settings)
