"""Learned positions of a vision encoder: a table that the host makes rows of."""

from __future__ import annotations

import torch
from torch import Tensor

from vlmforge.capture.tower_weights import tower_weight
from vlmforge.families.tower import Tower
from vlmforge.graph.core import Weight
from vlmforge.images.feeds import POSITION_ROWS
from vlmforge.images.grid import Grid
from vlmforge.images.patches import PatchLayout
from vlmforge.images.position_table import PositionTable
from vlmforge.source.checkpoint import Checkpoint


def position_tables(checkpoint: Checkpoint) -> dict[str, PositionTable]:
    """The learned positions of a tower that has them, by the name of the input."""
    tower = checkpoint.family.tower
    if tower is None or not tower.sizes(checkpoint.settings).positions:
        return {}
    return {POSITION_ROWS: PositionTable(position_table(checkpoint, tower).load().numpy())}


def position_table(checkpoint: Checkpoint, tower: Tower) -> Weight:
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
