"""Calibration samples as the graphs of a component want them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from vlmforge.families.family import VISION
from vlmforge.formats.samples import Sample, Samples, read_samples
from vlmforge.graph.core import Graph
from vlmforge.graph.residual import residual
from vlmforge.images.feeds import VisionFeeds
from vlmforge.images.grid import Grid
from vlmforge.images.layout import Layout
from vlmforge.images.pictures import Pictures
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
            feeds[name] = (feeds[name].double() @ rotation).float()
    return feeds


@dataclass(frozen=True)
class Picture:
    """An image as the original vision encoder reads it.

    Attributes:
        pixel_values: float32 ``[patches, 3 * time * patch²]``.
        grid_thw: int64 ``[1, 3]``.
        order: int64 ``[patches]``: which of these patches stands at each place of the program.
        tokens: int64 ``[tokens]``: which token is that of each row of its output.
    """

    pixel_values: torch.Tensor
    grid_thw: torch.Tensor
    order: torch.Tensor
    tokens: torch.Tensor


def original_picture(graph: Graph, feeds: Mapping[str, torch.Tensor]) -> Picture:
    """The one image in a vision encoder's feeds."""
    meta, ways = graph.meta, VisionFeeds.of(graph.meta)
    if ways.fixed:
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
    return Picture(pixels, torch.tensor([[1, rows, columns]]), order, tokens)


def sample_pictures(checkpoint: Checkpoint, directory: Path | str) -> Pictures:
    """The pictures that the vision samples of a model show; raises :class:`CalibrationError`."""
    fingerprint = checkpoint.fingerprint()
    samples = read_samples(directory, VISION, model_fingerprint=fingerprint)
    return pictures_for(checkpoint, Layout.of(samples.facts))
