"""Captures the vision encoder of a family."""

from __future__ import annotations

import re
from typing import Any

import torch
from torch import Tensor

from vlmforge.capture.lower import lower
from vlmforge.capture.original import Counterpart, module_of
from vlmforge.capture.provenance import provenance
from vlmforge.capture.tower import VisionEncoder
from vlmforge.errors import CaptureError
from vlmforge.families.family import VISION
from vlmforge.families.tower import Tower, TowerSizes
from vlmforge.graph.core import Graph, Weight
from vlmforge.source.checkpoint import Checkpoint

ROLES = "qkv"
"""In the order of the rows of a fused product."""


def capture_tower(checkpoint: Checkpoint, image_size: tuple[int, int] = (224, 224)) -> Graph:
    """The vision encoder for images of one size: ``images`` to features for the decoder.

    Raises:
        CaptureError: the size is not whole groups of patches.
    """
    tower = checkpoint.family.tower
    assert tower is not None, "the family has no tower"
    part = tower.part(checkpoint.settings)
    sizes = tower.sizes(part)
    rows = grid_rope_rows(tower.rotary(part), sizes, image_size)
    groups = len(rows) // sizes.merge**2
    shape = (groups * sizes.patch, sizes.merge**2 * sizes.patch, sizes.channels * sizes.frames)
    with torch.device("meta"):
        module = VisionEncoder(sizes, tower.norm, rows.to("meta"))
        arguments = (torch.empty(shape),)
    exported = torch.export.export(module, arguments, strict=False)

    def resolve(path: str) -> Weight:
        if path == "model.rope_rows":
            return Weight.of(rows)
        return tower_weight(checkpoint, tower, path.removeprefix("model."))

    def module_path(node: str) -> str | None:
        return _counterpart(node, tower, sizes)

    graph = lower(exported, VISION, resolve, {"images": shape}, module_path)
    graph.meta = {
        **provenance(checkpoint, sizes.hidden),
        "image_size": list(image_size),
        "patch_size": sizes.patch,
        "merge_size": sizes.merge,
        "temporal_patch_size": sizes.frames,
    }
    return graph


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


def tower_weight(checkpoint: Checkpoint, tower: Tower, path: str) -> Weight:
    """The checkpoint's weight for a path of :class:`vlmforge.capture.tower.VisionTransformer`.

    Rows of a fused product are split, and the 3D patch convolution ``[out, 3, 2, p, p]`` becomes
    2D channels-last ``[out, p, p, 6]``.
    """
    module, _, role = path.rpartition(".")
    weight = checkpoint.weight
    if module == "patch_embed":
        return _flat_convolution(weight(f"visual.{_renamed(module, tower)}.{role}"))
    split = _fused(module, tower)
    if split is None:
        return weight(f"visual.{_renamed(module, tower)}.{role}")
    fused = weight(f"visual.{split[0]}.{role}")
    size = fused.shape[0] // len(ROLES)
    offset = split[1] * size
    return Weight(
        (size, *fused.shape[1:]),
        lambda start, stop: fused.read(offset + start, offset + stop),
        fused.dtype,
    )


def _renamed(module: str, tower: Tower) -> str:
    """The original's name of a module of the tower."""
    return dict(tower.names).get(module, module)


def _fused(module: str, tower: Tower) -> tuple[str, int] | None:
    """The fused module that holds the rows of q, k or v, and which of them it is."""
    found = re.fullmatch(r"(blocks\.\d+)\.attn\.([qkv])", module)
    if found is None or tower.fused is None:
        return None
    return f"{found[1]}.{tower.fused}", ROLES.index(found[2])


def _flat_convolution(weight: Weight) -> Weight:
    out, channels, frames, height, width = weight.shape

    def flat(rows: Tensor) -> Tensor:
        return rows.flatten(1, 2).permute(0, 2, 3, 1).contiguous()

    shape = (out, height, width, channels * frames)
    return Weight(shape, lambda start, stop: flat(weight.read(start, stop)), weight.dtype)


def _counterpart(node: str, tower: Tower, sizes: TowerSizes) -> str | None:
    module = module_of(node, _MODULES)
    if module is None:
        return None
    split = _fused(module, tower)
    if split is None:
        return str(Counterpart(f"{tower.path}.{_renamed(module, tower)}"))
    start = split[1] * sizes.embed
    return str(Counterpart(f"{tower.path}.{split[0]}", (start, start + sizes.embed)))


_MODULES = (
    (r"model_patch_embed", r"patch_embed"),
    (r"model_blocks_(\d+)_(norm[12])", r"blocks.\1.\2"),
    (r"model_blocks_(\d+)_attn_([qkv]|proj)", r"blocks.\1.attn.\2"),
    (r"model_blocks_(\d+)_mlp_(fc[12]|act)", r"blocks.\1.mlp.\2"),
    (r"model_blocks_(\d+)/add_1", r"blocks.\1"),
    (r"model_merger_(\w+)", r"merger.\1"),
)
