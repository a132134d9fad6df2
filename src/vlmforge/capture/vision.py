"""Captures the vision encoder of a family."""

from __future__ import annotations

import re

import torch
from torch import Tensor

from vlmforge.capture.lower import lower
from vlmforge.capture.original import Counterpart, module_of
from vlmforge.capture.provenance import provenance
from vlmforge.capture.tracing import Traced, trace_dynamic, trace_fixed, trace_tiles
from vlmforge.families.family import VISION
from vlmforge.families.tower import Tower, TowerSizes
from vlmforge.graph.core import Graph, Node, Weight
from vlmforge.graph.residual import STREAM_INPUTS
from vlmforge.graph.tables import INPUT_TABLES
from vlmforge.graph.verify import verify
from vlmforge.images.feeds import POSITION_ROWS
from vlmforge.images.grid import Grid
from vlmforge.images.patches import PatchLayout
from vlmforge.images.pictures import NativeResolution, Pictures
from vlmforge.images.position_table import PositionTable
from vlmforge.images.tiles import Tiles
from vlmforge.source.checkpoint import Checkpoint

PATCH_WEIGHT = "model.patch_embed.weight"

ROLES = "qkv"
"""In the order of the rows of a fused product."""


def capture_tower(checkpoint: Checkpoint, pictures: Pictures) -> Graph:
    """The vision encoder: pixels of the pictures to features for the decoder.

    Args:
        checkpoint: of a model that sees.
        pictures: of one size, and the graph takes ``images``; or of any size within bounds, and it
            takes ``patches`` and their ``position_ids``.

    Raises:
        CaptureError: the one size is not whole groups of patches.
    """
    tower = checkpoint.family.tower
    assert tower is not None, "the family has no tower"
    sizes, traced = tower.sizes(checkpoint.settings), _traced(checkpoint, tower, pictures)

    def resolve(path: str) -> Weight:
        if path in traced.constants:
            return Weight.of(traced.constants[path])
        weight = tower_weight(checkpoint, tower, path.removeprefix("model."))
        return traced.patch_weight(weight) if path == PATCH_WEIGHT else weight

    def module_path(node: str) -> str | None:
        return _counterpart(node, tower, sizes)

    graph = lower(traced.exported, VISION, resolve, traced.inputs, module_path)
    shown = {**pictures.facts(), **checkpoint.family.processor.facts()}
    if sizes.tokens_per_second is not None:
        shown["tokens_per_second"] = sizes.tokens_per_second
    graph.meta = {**provenance(checkpoint, sizes.hidden), **shown}
    return _with_positions(graph, checkpoint, tower) if sizes.positions else graph


def _traced(checkpoint: Checkpoint, tower: Tower, pictures: Pictures) -> Traced:
    sizes = tower.sizes(checkpoint.settings)
    if isinstance(pictures, Tiles):
        return trace_tiles(sizes, tower, pictures)
    assert tower.rotary is not None, "a tower of pictures of any size"
    rotary = tower.rotary(tower.part(checkpoint.settings))
    if isinstance(pictures, NativeResolution):
        return trace_dynamic(sizes, tower, rotary, pictures.max_patches)
    return trace_fixed(sizes, tower, rotary, pictures.size(0, 0))


def position_tables(checkpoint: Checkpoint) -> dict[str, PositionTable]:
    """The learned positions of a tower that has them, by the name of the input."""
    tower = checkpoint.family.tower
    if tower is None or not tower.sizes(checkpoint.settings).positions:
        return {}
    return {POSITION_ROWS: PositionTable(_table(checkpoint, tower).load().numpy())}


def _table(checkpoint: Checkpoint, tower: Tower) -> Weight:
    """The learned positions, ``[rows, embed]``; of a tile in the order of its patches."""
    weight, tile = checkpoint.weight(f"visual.{tower.positions}"), _tile(checkpoint, tower)
    if tile is None:
        return weight
    layout, grid = tile
    rows, columns, _ = torch.from_numpy(layout.positions(grid))
    side = grid.columns * layout.merge_size
    if tower.places is not None:
        places = torch.tensor(tower.places(side))
        rows, columns = places[rows], places[columns]
    order = rows * side + columns
    if tower.class_token is None:
        return weight.map(lambda whole: whole.flatten(0, -2)[order], (len(order), weight.shape[-1]))
    first = checkpoint.weight(f"visual.{tower.class_token}")
    bias = tower_weight(checkpoint, tower, "patch_embed.bias")

    def with_class_token(whole: Tensor) -> Tensor:
        flat = whole.flatten(0, -2)
        own = flat[:1] + first.load().flatten(0, -2) - bias.load()
        return torch.cat([flat[1:][order], own])

    return weight.map(with_class_token, (len(order) + 1, weight.shape[-1]))


def _tile(checkpoint: Checkpoint, tower: Tower) -> tuple[PatchLayout, Grid] | None:
    """How a tile is divided; None where the tower reads pictures of any size."""
    sizes = tower.sizes(checkpoint.settings)
    if sizes.tile is None:
        return None
    layout = PatchLayout(sizes.patch, sizes.merge, sizes.frames)
    return layout, layout.grid(1, *sizes.tile)


def _with_positions(graph: Graph, checkpoint: Checkpoint, tower: Tower) -> Graph:
    """The graph with the table that its input of positions is made of."""
    table = _table(checkpoint, tower)
    name, weight = "position_table", tower.positions
    node = Node(name, "constant", (), table.shape, {"value": weight})
    facts = {STREAM_INPUTS: [POSITION_ROWS], INPUT_TABLES: {POSITION_ROWS: name}}
    found = graph.with_nodes([node, *graph.nodes.values()], {weight: table})
    found.meta = {**graph.meta, **facts}
    verify(found)
    return found


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


def _counterpart(node: str, tower: Tower, sizes: TowerSizes) -> str | None:
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
