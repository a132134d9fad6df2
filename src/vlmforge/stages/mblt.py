"""The capture stage: a component of a checkpoint to a checked ``.mblt`` file."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from torch import Tensor

from vlmforge.capture.check import Observer, check
from vlmforge.capture.component import capture
from vlmforge.families.family import VISION
from vlmforge.formats.atomic import atomic_file
from vlmforge.formats.container import ContainerWriter
from vlmforge.formats.mblt import write_mblt
from vlmforge.formats.stage import open_stage
from vlmforge.original.observed import run_decoder, run_tower
from vlmforge.original.streamed import load_streamed
from vlmforge.progress import Progress
from vlmforge.source.checkpoint import Checkpoint
from vlmforge.stages.samples import (
    component_samples,
    original_picture,
    sample_feeds,
    sample_pictures,
)
from vlmforge.stages.spool import Spool

CHECKED_ROWS = 128
"""Positions of the sample on which a captured text model is checked."""


def mblt_compile(
    checkpoint: Checkpoint,
    component: str,
    save_path: Path | str,
    calib_data_path: Path | str,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Capture a component, write it, and check it against the original on one sample.

    Writes ``save_path`` (``.mblt``) and beside it ``.infer``, every value of the sample, and
    ``.json``, the report returned: per value shape, cosine, largest error and SQNR.

    Raises:
        CaptureError: a value differs from the original's by more than 1e-4 of its range.
    """
    save_path, sees = Path(save_path), component == VISION
    graph = capture(
        checkpoint, component, sample_pictures(checkpoint, calib_data_path) if sees else None
    )
    samples = component_samples(graph, calib_data_path)
    write_mblt(graph, save_path, progress)
    feeds = sample_feeds(graph, samples[0], CHECKED_ROWS)
    original = load_streamed(checkpoint)
    family = checkpoint.family
    if not sees or family.tower is None:
        run: Callable[[Observer], None] = partial(run_decoder, original, family.decoder, feeds)
    else:
        run = partial(run_tower, original, family.tower, original_picture(graph, feeds))
    values = save_path.with_suffix(".infer")
    with (
        open_stage(values.with_suffix(".original")) as stage,
        ContainerWriter(values, "infer") as writer,
    ):
        stage.new.mkdir()

        def keep(name: str, value: Tensor) -> None:
            writer.add(name, value.numpy())

        for name, value in feeds.items():
            keep(name, value)
        report = check(graph, feeds, run, keep, Spool(stage.new))
        writer.finish({"model": checkpoint.model_id, "sample": samples[0].name})
    with atomic_file(save_path.with_suffix(".json")) as file:
        file.write((json.dumps(report, indent=2) + "\n").encode())
    return report
