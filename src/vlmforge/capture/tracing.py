"""The vision encoder as ``torch.export`` sees it: for one size of images, or for any."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from vlmforge.capture.modules import RopeTable
from vlmforge.capture.tower import DynamicEncoder, FixedEncoder
from vlmforge.dims import Dim, Shape, multiple
from vlmforge.errors import CaptureError
from vlmforge.families.tower import NormKind, TowerSizes
from vlmforge.graph.core import Weight

GROUPS = "groups"
"""The dynamic dimension: tokens of an image."""

POSITION_ROWS = "position_rows"
"""The input of learned positions."""


@dataclass(frozen=True)
class Traced:
    """A captured encoder, before it has weights.

    Attributes:
        exported: from ``torch.export.export``.
        inputs: name to shape.
        constants: path to the tensor of a buffer.
        patch_weight: the checkpoint's patch convolution ``[out, channels, frames, p, p]`` as the
            encoder's patch embedding reads it.
    """

    exported: torch.export.ExportedProgram
    inputs: dict[str, Shape]
    constants: Mapping[str, Tensor]
    patch_weight: Callable[[Weight], Weight]


def trace_fixed(
    sizes: TowerSizes, norm: NormKind, rotary: Any, image_size: tuple[int, int]
) -> Traced:
    """The encoder of images of one height and width, with a 2D convolution of patches.

    Raises:
        CaptureError: they are not whole groups of patches.
    """
    rows = grid_rope_rows(rotary, sizes, image_size)
    groups = len(rows) // sizes.merge**2
    shape = (groups * sizes.patch, sizes.merge**2 * sizes.patch, sizes.channels * sizes.frames)
    inputs: dict[str, Shape] = {"images": shape, **_position_rows(sizes, len(rows))}
    with torch.device("meta"):
        module = FixedEncoder(sizes, norm, rows.to("meta"))
        arguments = tuple(torch.empty(tuple(map(int, shape))) for shape in inputs.values())
        exported = torch.export.export(module, arguments, strict=False)
    return Traced(exported, inputs, {"model.rope_rows": rows}, _flat_convolution)


def trace_dynamic(sizes: TowerSizes, norm: NormKind, rotary: Any, max_patches: int) -> Traced:
    """The encoder of images of any size whose sides have at most ``max_patches`` patches."""
    cos, sin = axial_tables(rotary, max_patches)
    group, width = sizes.merge**2, sizes.channels * sizes.frames * sizes.patch**2
    with torch.device("meta"):
        half = cos.shape[1] // 2
        table = RopeTable(cos.to("meta"), sin.to("meta"), [half, half])
        module = DynamicEncoder(sizes, norm, table)
        arguments = (
            torch.empty(3 * group, width),
            torch.empty(3, 3 * group, dtype=torch.int64),
            *([torch.empty(3 * group, sizes.embed)] if sizes.positions else []),
        )
    groups = torch.export.Dim(GROUPS, min=2, max=max_patches**2)
    shapes = ({0: group * groups}, {1: group * groups}, {0: group * groups})[: len(arguments)]
    exported = torch.export.export(module, arguments, dynamic_shapes=shapes, strict=False)
    patches = multiple(group, GROUPS)
    inputs: dict[str, Shape] = {
        "patches": (patches, width),
        "position_ids": (3, patches),
        **_position_rows(sizes, patches),
    }
    constants = {"rotary_emb.cos": cos, "rotary_emb.sin": sin}
    return Traced(exported, inputs, constants, _folded)


def _position_rows(sizes: TowerSizes, patches: Dim) -> dict[str, Shape]:
    """The input that a tower with learned positions has beside the pixels."""
    return {POSITION_ROWS: (patches, sizes.embed)} if sizes.positions else {}


def grid_rope_rows(rotary: Any, sizes: TowerSizes, image_size: tuple[int, int]) -> Tensor:
    """cos and sin ``[patches, 2, head_dim]`` of a grid whose patches are in merge-group order."""
    merge, patch = sizes.merge, sizes.patch
    if any(side % (patch * merge) for side in image_size):
        raise CaptureError(
            f"an image of {image_size[0]}x{image_size[1]} is not whole groups of {merge} patches",
            mend=f"choose a height and a width that are multiples of {patch * merge}",
        )
    height, width = (side // patch for side in image_size)
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    grouped = [
        axis.reshape(height // merge, merge, width // merge, merge).transpose(1, 2).flatten()
        for axis in (y, x)
    ]
    cos, sin = rotary(torch.empty(0), torch.stack(grouped, dim=1))
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
