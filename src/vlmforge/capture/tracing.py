"""The vision encoder as ``torch.export`` sees it: for one size of images, or for any."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from vlmforge.capture.modules import RopeTable
from vlmforge.capture.tower import DynamicEncoder, FixedEncoder, TileEncoder
from vlmforge.dims import Dim, Shape, multiple, parts, resolve
from vlmforge.errors import CaptureError
from vlmforge.families.tower import Tower, TowerSizes
from vlmforge.graph.core import Weight
from vlmforge.images.feeds import MERGED, POSITION_ROWS, VisionFeeds
from vlmforge.images.patches import PatchLayout
from vlmforge.images.tiles import Tiles

GROUPS = "groups"
"""The dynamic dimension: tokens of an image."""

Inputs = dict[str, tuple[Shape, torch.dtype]]
"""Name to shape and dtype."""


@dataclass(frozen=True)
class Traced:
    """A captured encoder, before it has weights.

    Attributes:
        exported: from ``torch.export.export``.
        inputs: name to shape.
        constants: path to the tensor of a buffer.
        patch_weight: the checkpoint's patch convolution ``[out, channels, (frames,) p, p]`` as
            the encoder's patch embedding reads it.
    """

    exported: torch.export.ExportedProgram
    inputs: dict[str, Shape]
    constants: Mapping[str, Tensor]
    patch_weight: Callable[[Weight], Weight]


def trace_fixed(
    sizes: TowerSizes, tower: Tower, rotary: Any, image_size: tuple[int, int]
) -> Traced:
    """The encoder of images of one height and width, with a 2D convolution of patches.

    Raises:
        CaptureError: they are not whole groups of patches.
    """
    rows = grid_rope_rows(rotary, sizes, image_size)
    groups = len(rows) // sizes.merge**2
    shape = (groups * sizes.patch, sizes.merge**2 * sizes.patch, sizes.channels * sizes.frames)
    inputs: Inputs = {"images": (shape, torch.float32), **_beside(sizes, len(rows))}
    with torch.device("meta"):
        module = FixedEncoder(sizes, tower, rows.to("meta"))
    exported = _exported(module, inputs, most=groups)
    return Traced(exported, _shapes(inputs), {"model.rope_rows": rows}, _flat_convolution)


def trace_dynamic(sizes: TowerSizes, tower: Tower, rotary: Any, max_patches: int) -> Traced:
    """The encoder of images of any size whose sides have at most ``max_patches`` patches."""
    cos, sin = axial_tables(rotary, max_patches)
    group, width = sizes.merge**2, sizes.channels * sizes.frames * sizes.patch**2
    with torch.device("meta"):
        half = cos.shape[1] // 2
        table = RopeTable(cos.to("meta"), sin.to("meta"), [half, half])
        module = DynamicEncoder(sizes, tower, table)
    patches = multiple(group, GROUPS)
    inputs: Inputs = {
        "patches": ((patches, width), torch.float32),
        "position_ids": ((3, patches), torch.int64),
        **_beside(sizes, patches),
    }
    exported = _exported(module, inputs, most=max_patches**2)
    constants = {"rotary_emb.cos": cos, "rotary_emb.sin": sin}
    return Traced(exported, _shapes(inputs), constants, _folded)


def trace_tiles(sizes: TowerSizes, tower: Tower, tiles: Tiles) -> Traced:
    """The encoder of tiles, all of one size, with a class token behind the patches of each."""
    patches, width = tiles.patches, sizes.channels * sizes.frames * sizes.patch**2
    rows = patches + (tower.class_token is not None)
    with torch.device("meta"):
        module = TileEncoder(sizes, tower)
    inputs: Inputs = {
        "patches": ((rows, width), torch.float32),
        POSITION_ROWS: ((rows, sizes.embed), torch.float32),
        MERGED: ((patches,), torch.int64),
    }
    return Traced(_exported(module, inputs, most=patches), _shapes(inputs), {}, _folded)


def _beside(sizes: TowerSizes, patches: Dim) -> Inputs:
    """The inputs that some towers have beside the pixels."""
    found: Inputs = {}
    if any(sizes.windowed):
        found["visible"] = ((patches, 2), torch.int64)
    if sizes.positions:
        found[POSITION_ROWS] = ((patches, sizes.embed), torch.float32)
    return found


def _exported(module: nn.Module, inputs: Inputs, most: int) -> torch.export.ExportedProgram:
    """The module for at most so many groups, where shapes name them."""
    groups = torch.export.Dim(GROUPS, min=2, max=most)
    arguments = {
        name: torch.empty(resolve(shape, {GROUPS: 3}), dtype=dtype, device="meta")
        for name, (shape, dtype) in inputs.items()
    }
    dynamic = {
        name: {
            axis: parts(dim).factor * groups
            for axis, dim in enumerate(shape)
            if isinstance(dim, str)
        }
        for name, (shape, _) in inputs.items()
    }
    return torch.export.export(module, (), arguments, dynamic_shapes=dynamic, strict=False)


def _shapes(inputs: Inputs) -> dict[str, Shape]:
    return {name: shape for name, (shape, _) in inputs.items()}


def grid_rope_rows(rotary: Any, sizes: TowerSizes, image_size: tuple[int, int]) -> Tensor:
    """cos and sin ``[patches, 2, head_dim]`` of a grid whose patches stand as in the program."""
    merge, patch = sizes.merge, sizes.patch
    if any(side % (patch * merge) for side in image_size):
        raise CaptureError(
            f"an image of {image_size[0]}x{image_size[1]} is not whole groups of {merge} patches",
            mend=f"choose a height and a width that are multiples of {patch * merge}",
        )
    ways = VisionFeeds(PatchLayout(patch, merge, sizes.frames, sizes.window), fixed=True)
    grid = ways.layout.grid(1, *image_size)
    positions = ways.to_program(ways.layout.positions(grid).T[:, :2], grid)
    cos, sin = rotary(torch.empty(0), torch.from_numpy(positions))
    return torch.stack([cos, sin], dim=1).float()


def axial_tables(rotary: Any, positions: int) -> tuple[Tensor, Tensor]:
    """cos and sin ``[positions, head_dim / 2]``: first of a patch's row, then of its column.

    Args:
        rotary: transformers' module; of positions ``[n, 2]`` it gives cos and sin
            ``[n, head_dim]``, whose second half repeats the first.
        positions: rows of the tables.
    """
    diagonal = torch.arange(positions)[:, None].expand(-1, 2)
    cos, sin = rotary(torch.empty(0), diagonal)
    half = cos.shape[-1] // 2
    return cos[:, :half].float().contiguous(), sin[:, :half].float().contiguous()


def _flat_convolution(weight: Weight) -> Weight:
    """2D and channels-last: ``[out, p, p, channels * frames]``."""
    out, channels, frames, height, width = weight.shape

    def flat(rows: Tensor) -> Tensor:
        return rows.flatten(1, 2).permute(0, 2, 3, 1).contiguous()

    shape = (out, height, width, channels * frames)
    return Weight(shape, lambda start, stop: flat(weight.read(start, stop)), weight.dtype)


def _folded(weight: Weight) -> Weight:
    """A product over folded patches: ``[out, channels * frames * p * p]``."""
    out, *rest = weight.shape
    shape = (out, torch.Size(rest).numel())
    return Weight(shape, lambda start, stop: weight.read(start, stop).flatten(1), weight.dtype)
