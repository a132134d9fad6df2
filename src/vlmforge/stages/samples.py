"""Calibration samples as the graphs of a component want them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from vlmforge.arithmetic.products import product
from vlmforge.families.family import VISION
from vlmforge.formats.samples import Sample, Samples, read_samples
from vlmforge.graph.core import Graph
from vlmforge.graph.residual import residual
from vlmforge.images.feeds import vision_feeds
from vlmforge.images.grid import Grid
from vlmforge.images.layout import Layout
from vlmforge.images.patches import PatchLayout
from vlmforge.images.pictures import Pictures
from vlmforge.images.tiles import TILES
from vlmforge.original.inputs import Picture
from vlmforge.source.checkpoint import Checkpoint
from vlmforge.source.pictures import pictures_for


def component_samples(graph: Graph, directory: Path | str) -> Samples:
    """The calibration samples of a graph's component; raises :class:`CalibrationError`."""
    expected = {name: value.shape for name, value in graph.inputs.items() if name != "logits_index"}
    return read_samples(
        directory,
        graph.component,
        model_fingerprint=graph.meta["model_fingerprint"],
        expect=expected,
    )


def sample_feeds(graph: Graph, sample: Sample, rows: int | None = None) -> dict[str, torch.Tensor]:
    arrays = sample.load()
    feeds = {name: torch.from_numpy(arrays[name]) for name in graph.inputs if name in arrays}
    if graph.component == "language":
        feeds = {name: value[:, :rows] for name, value in feeds.items()}
        feeds["logits_index"] = torch.arange(feeds["inputs_embeds"].shape[1])
    return feeds


def rotated_feeds(
    graph: Graph, sample: Sample, rotation: torch.Tensor | None
) -> Mapping[str, torch.Tensor]:
    """A sample's feeds, those that are part of the residual stream in the basis of its R1."""
    feeds = sample_feeds(graph, sample)
    if rotation is not None:
        for name in residual(graph).inputs:
            feeds[name] = product(feeds[name].double(), rotation).float()
    return feeds


def original_picture(graph: Graph, feeds: Mapping[str, torch.Tensor]) -> Picture:
    """The one image, or the one tile, in a vision encoder's feeds."""
    meta, ways = graph.meta, vision_feeds(graph.meta)
    if meta.get("layout") == TILES:
        return _original_tile(ways.layout, meta, feeds["patches"].numpy())
    if "images" in feeds:
        values = ways.layout.of_blocks(feeds["images"].numpy())
        rows, columns = (side // meta["patch_size"] for side in meta["image_size"])
    else:
        values = feeds["patches"].numpy()
        rows, columns, _ = (feeds["position_ids"].amax(1) + 1).tolist()
    grid = Grid.of_patches((1, rows, columns), ways.layout.merge_size)
    pixels = torch.from_numpy(ways.from_program(values, grid))
    order, tokens = (
        torch.from_numpy(ways.to_program(np.arange(count), grid))
        for count in (rows * columns, grid.tokens)
    )
    arguments = {"pixel_values": pixels, "image_grid_thw": torch.tensor([[1, rows, columns]])}
    return Picture(arguments, order, tokens)


def _original_tile(layout: PatchLayout, meta: Mapping[str, Any], patches: np.ndarray) -> Picture:
    height, width = meta["tile"]
    grid = layout.grid(1, height, width)
    further, count = int(meta["class_token"]), grid.tokens * layout.cell_patches
    pixels = layout.unfold(patches[:count], grid).transpose(0, 3, 1, 2)
    rows, columns, _ = layout.positions(grid)
    order = further + rows * (grid.columns * layout.merge_size) + columns
    behind = np.concatenate([order, np.arange(further)])
    arguments = {"pixel_values": torch.from_numpy(np.ascontiguousarray(pixels))}
    return Picture(arguments, torch.from_numpy(behind), torch.arange(grid.tokens))


def sample_pictures(checkpoint: Checkpoint, directory: Path | str) -> Pictures:
    """The pictures that the vision samples of a model show; raises :class:`CalibrationError`."""
    fingerprint = checkpoint.fingerprint()
    samples = read_samples(directory, VISION, model_fingerprint=fingerprint)
    return pictures_for(checkpoint, Layout.of(samples.facts))
