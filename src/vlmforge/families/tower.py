"""Tower: the vision encoder of a family."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

from vlmforge.families.size import Size

BLOCKS = "visual.blocks."
"""Begins the canonical names of the weights of blocks."""

NormKind = Literal["layer_norm", "rms_norm"]


@dataclass(frozen=True)
class TowerSizes:
    """The numbers that make one tower differ from another.

    Attributes:
        merge: patches along a side of a group.
        patch_bias: whether the patch embedding has a bias.
        positions: rows of a table of learned positions that are added to the patches; 0 for none.
        deepstack: blocks behind which a merger gives further features (DeepStack, arXiv
            2406.04334), in the order of the mergers.
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

    @property
    def head_dim(self) -> int:
        return self.embed // self.heads

    @property
    def mergers(self) -> tuple[int, ...]:
        """Of each of the further features, in their order, which merger gives it."""
        behind = sorted({block for block in self.deepstack if block < self.depth})
        return tuple(map(self.deepstack.index, behind))


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
    depth: str = "depth"
    settings: str = "vision_config"
    path: str = "model.visual"

    def part(self, settings: Any) -> Any:
        """The tower's part of a configuration."""
        return getattr(settings, self.settings)
