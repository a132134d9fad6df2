"""Where a checkpoint stores what the traceable vision encoder has."""

from __future__ import annotations

import re

from vlmforge.capture.original import Counterpart, module_of
from vlmforge.families.tower import Tower, TowerSizes
from vlmforge.graph.core import Weight
from vlmforge.source.checkpoint import Checkpoint

ROLES = "qkv"
"""In the order of the rows of a fused product."""


def tower_weight(checkpoint: Checkpoint, tower: Tower, path: str) -> Weight:
    """The checkpoint's weight for a path of :class:`vlmforge.capture.tower.VisionTransformer`.

    Rows of a fused product are split, and multiplied where the original scales a layer.
    """
    module, _, role = path.rpartition(".")
    weight = checkpoint.weight
    split = _fused(module, tower)
    if split is None:
        found = weight(f"visual.{tower.original(module)}.{role}")
        factors = _factors(module, tower)
        return found if factors is None else found.scaled(weight(factors))
    fused = weight(f"visual.{split[0]}.{role}")
    size = fused.shape[0] // len(ROLES)
    offset = split[1] * size
    return Weight(
        (size, *fused.shape[1:]),
        lambda start, stop: fused.read(offset + start, offset + stop),
        fused.dtype,
    )


def _factors(module: str, tower: Tower) -> str | None:
    """The weight by which the rows of a product are multiplied, if there is one."""
    found = re.fullmatch(r"(blocks\.\d+)\.(.*)", module)
    if found is None or found[2] not in tower.scales:
        return None
    return f"visual.{tower.original(found[1])}.{tower.scales[found[2]]}"


def _fused(module: str, tower: Tower) -> tuple[str, int] | None:
    """The fused module that holds the rows of q, k or v, and which of them it is."""
    found = re.fullmatch(r"(blocks\.\d+)\.attn\.([qkv])", module)
    if found is None or tower.fused is None:
        return None
    return f"{found[1]}.{tower.fused}", ROLES.index(found[2])


def of_node(node: str, tower: Tower, sizes: TowerSizes) -> str | None:
    """What a node of the captured graph gives of the original, as text, if anything."""
    module = module_of(node, _MODULES)
    if module is None:
        return None
    split = _fused(module, tower)
    if split is None:
        return str(Counterpart(f"{tower.path}.{tower.original(module)}"))
    start = split[1] * sizes.embed
    return str(Counterpart(f"{tower.path}.{split[0]}", (start, start + sizes.embed)))


_MODULES = (
    (r"model_patch_embed", r"patch_embed"),
    (r"model_blocks_(\d+)_(norm[12])", r"blocks.\1.\2"),
    (r"model_blocks_(\d+)_attn_([qkv]|proj)", r"blocks.\1.attn.\2"),
    (r"model_blocks_(\d+)_mlp_(fc[12]|act|\w+_proj|act_fn)", r"blocks.\1.mlp.\2"),
    (r"model_blocks_(\d+)/add_1", r"blocks.\1"),
    (r"model_merger_(\w+)", r"merger.\1"),
    (r"model_deepstack_(\d+)_(\w+)", r"deepstack.\1.\2"),
)
