"""Graph and feeds of every component of a tiny checkpoint of every family, in any float dtype."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from torch import Tensor

from tests.families.models import write_model
from tests.graphs import language_feeds
from vlmforge.capture.component import capture
from vlmforge.capture.positions import position_tables
from vlmforge.families.family import LANGUAGE, VISION
from vlmforge.families.registry import families
from vlmforge.graph.core import Graph, Weight
from vlmforge.graph.residual import residual
from vlmforge.images.feeds import vision_feeds
from vlmforge.images.grid import Grid
from vlmforge.images.layout import DYNAMIC
from vlmforge.images.tiles import TILES
from vlmforge.source.checkpoint import Checkpoint
from vlmforge.source.pictures import pictures_for

Component = tuple[Graph, dict[str, Tensor]]

GRID = Grid(1, 4, 5)
"""Cells of an image; windows are cut at both of its edges."""

COMPONENTS = [
    (architecture, component)
    for architecture, family in families().items()
    for component in family.components
]
"""Every component of every family, by architecture."""


@cache
def component_of(architecture: str, name: str) -> Component:
    """Graph and feeds of a component, its weights read; an encoder's for images of any size."""
    with TemporaryDirectory() as kept:
        directory = Path(kept) / "Random-Model"
        write_model(families()[architecture], directory, dtype=torch.float32)
        checkpoint = Checkpoint.open(str(directory))
        if name == LANGUAGE:
            graph = capture(checkpoint, name)
            return read(graph), language_feeds(graph)
        graph = capture(checkpoint, VISION, pictures_for(checkpoint, DYNAMIC))
        return read(graph), image_feeds(graph, checkpoint)


def image_feeds(graph: Graph, checkpoint: Checkpoint, grid: Grid = GRID) -> dict[str, Tensor]:
    """Random patches of one image."""
    ways = vision_feeds(graph.meta, position_tables(checkpoint))
    if graph.meta["layout"] == TILES:
        grid = ways.layout.grid(1, *graph.meta["tile"])
    width = graph.inputs["patches"].shape[-1]
    assert isinstance(width, int)  # channels are never dynamic
    shape = (ways.layout.cell_patches * grid.tokens, width)
    patches = np.random.default_rng(0).standard_normal(shape, np.float32)
    return {name: torch.from_numpy(array) for name, array in ways(patches, grid).items()}


def read(graph: Graph) -> Graph:
    """The graph with its weights in memory."""
    return graph.with_weights({n: Weight.of(w.load()) for n, w in graph.weights.items()})


def in_dtype(component: Component, dtype: torch.dtype) -> Component:
    """Graph and feeds with all floats in a dtype; weights are converted when they are read."""
    graph, feeds = component
    changed = {n: t.to(dtype) if t.is_floating_point() else t for n, t in feeds.items()}
    weights = {n: w.map_rows(lambda rows: rows.to(dtype)) for n, w in graph.weights.items()}
    return graph.with_weights(weights), changed


def turned(graph: Graph, feeds: Mapping[str, Tensor], rotation: Tensor) -> dict[str, Tensor]:
    """The feeds with what is part of the residual stream rotated."""
    names = residual(graph).inputs
    return {**feeds, **{name: times(feeds[name], rotation) for name in names}}


def times(rows: Tensor, rotation: Tensor) -> Tensor:
    """``rows @ rotation`` in float64, rounded to the dtype of the rows."""
    return (rows.double() @ rotation).to(rows.dtype)
