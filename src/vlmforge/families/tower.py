"""Tower: the vision encoder of a family."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from vlmforge.families.size import Size

BLOCKS = "visual.blocks."
"""Begins the canonical names of the weights of blocks in most towers."""

NormKind = Literal["layer_norm", "rms_norm"]

ProjectionKind = Literal["mlp", "linear"]
"""``fc2(act(fc1(x)))``, or ``fc2(x)`` without a bias."""

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
        tile: height and width in pixels of all that the tower reads; None where it reads pictures
            of any size.
        input_bias: whether the products that make queries, keys and values have biases.
        merger: channels within the last merger; None for those that it joins.
        merger_eps: of the norm in the last merger; None for ``eps``.
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
    tile: tuple[int, int] | None = None
    input_bias: bool = True
    merger: int | None = None
    merger_eps: float | None = None

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


def tiled_sizes(settings: Any, tile: int, patch: int, merge: int) -> TowerSizes:
    """The sizes of a tower of square tiles, in the settings of the whole model.

    Args:
        settings: they call what is no side of a square as InternVL and SmolVLM do.
        tile, patch: sides in pixels.
        merge: patches along a side of a cell.
    """
    part = settings.vision_config
    return TowerSizes(
        embed=part.hidden_size,
        depth=part.num_hidden_layers,
        heads=part.num_attention_heads,
        mlp=part.intermediate_size,
        hidden=settings.text_config.hidden_size,
        patch=patch,
        channels=part.num_channels,
        frames=1,
        merge=merge,
        activation=part.hidden_act,
        eps=part.layer_norm_eps,
        patch_bias=True,
        positions=(tile // patch) ** 2,
        tile=(tile, tile),
    )


@dataclass(frozen=True)
class Tower:
    """A pre-norm encoder of patches, whose merger joins groups of patches.

    Its modules are called as in :mod:`vlmforge.capture.tower`.

    Attributes:
        sizes: the sizes in the settings of the whole model.
        stored: what these settings ask of the weights.
        rotary: makes transformers' rotary embedding of its part of the settings: positions
            ``[n, 2]`` of rows and columns to cos and sin ``[n, head_dim]``. None for a tower of
            tiles, which knows where a patch is from learned positions alone.
        rotary_name: of that module within the tower's.
        names: of modules that the original calls otherwise, within the tower: a pattern of paths
            in :mod:`vlmforge.capture.tower`, and the original's.
        positions: the original's weight of learned positions.
        places: of a tile of so many patches a side, in which row, and which column, of the table
            each of a side has its position; None where that is its own.
        fused: the original's module of queries, keys and values together, in place of ``q``,
            ``k`` and ``v``; None where it has three.
        scales: products of a block whose output the original multiplies, channel by channel, and
            its block's parameter that holds the factors (layer scale, arXiv 2103.17239).
        class_token: the original's weight, where a token that is no patch stands before them; the
            first of the learned positions is its own.
        norm: of blocks and merger.
        grouped: whether the last merger normalizes each group as one row.
        projection: what the last merger does to groups.
        mlp: of blocks.
        blocks: begins the canonical names of their weights.
        raw: begins the paths of modules, within the tower's, whose rows stand as the original's
            pictures do, and not as the program's.
        depth: the setting that counts the blocks.
        heads: the setting that counts the heads.
        settings: key of its settings in the configuration.
        path: of its module in the original model.
        nested: whether the original takes tiles as those of sequences, with one more axis.
    """

    sizes: Callable[[Any], TowerSizes]
    stored: Callable[[Any], Iterator[Size]]
    rotary: Callable[[Any], Any] | None
    rotary_name: str = "rotary_pos_emb"
    names: tuple[tuple[str, str], ...] = ()
    positions: str = "pos_embed.weight"
    places: Callable[[int], Sequence[int]] | None = None
    fused: str | None = None
    scales: Mapping[str, str] = field(default_factory=dict)
    class_token: str | None = None
    norm: NormKind = "layer_norm"
    grouped: bool = False
    projection: ProjectionKind = "mlp"
    mlp: MLPKind = "plain"
    blocks: str = BLOCKS
    raw: str = "patch_embed"
    depth: str = "depth"
    heads: str = "num_heads"
    settings: str = "vision_config"
    path: str = "model.visual"
    nested: bool = False

    def original(self, module: str) -> str:
        """The original's path, within the tower's, of a module."""
        for pattern, path in self.names:
            if found := re.fullmatch(pattern, module):
                return found.expand(path)
        return module

    def given(self, pictures: Mapping[str, Any]) -> dict[str, Any]:
        """Arguments of the original that say what is shown, tiles those of one sequence."""
        if not self.nested:
            return dict(pictures)
        return {name: values[None] for name, values in pictures.items()}

    def part(self, settings: Any) -> Any:
        """The tower's part of a configuration."""
        return getattr(settings, self.settings)
