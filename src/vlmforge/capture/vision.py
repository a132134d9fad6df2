"""Captures the vision encoder of a family."""

from __future__ import annotations

from vlmforge.capture.lower import lower
from vlmforge.capture.positions import position_table
from vlmforge.capture.provenance import provenance
from vlmforge.capture.tower_weights import of_node, tower_weight
from vlmforge.capture.tracing import Traced, trace_dynamic, trace_fixed, trace_tiles
from vlmforge.families.family import VISION
from vlmforge.families.tower import Tower
from vlmforge.graph.core import Graph, Node, Weight
from vlmforge.graph.residual import STREAM_INPUTS
from vlmforge.graph.tables import INPUT_TABLES
from vlmforge.graph.verify import verify
from vlmforge.images.feeds import POSITION_ROWS
from vlmforge.images.pictures import NativeResolution, Pictures
from vlmforge.images.tiles import Tiles
from vlmforge.source.checkpoint import Checkpoint

PATCH_WEIGHT = "model.patch_embed.weight"


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
        return of_node(node, tower, sizes)

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


def _with_positions(graph: Graph, checkpoint: Checkpoint, tower: Tower) -> Graph:
    """The graph with the table that its input of positions is made of."""
    table = position_table(checkpoint, tower)
    name, weight = "position_table", tower.positions
    node = Node(name, "constant", (), table.shape, {"value": weight})
    facts = {STREAM_INPUTS: [POSITION_ROWS], INPUT_TABLES: {POSITION_ROWS: name}}
    found = graph.with_nodes([node, *graph.nodes.values()], {weight: table})
    found.meta = {**graph.meta, **facts}
    verify(found)
    return found
