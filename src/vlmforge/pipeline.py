"""The whole flow, stage by stage: read this file first.

    checkpoint ── capture ──► .mblt ── transform, quantize ──► .mxq ── package ──► directory
         └────── calibrate ──► samples ─────────┘

Every stage is a function of ``vlmforge.stages`` or ``vlmforge.calibrate`` and a command of
``vlmforge``, and runs alone from the files of the stage before it. :func:`compile_model` runs
them all.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from vlmforge.calibrate.images import ImageSource, collect_images
from vlmforge.calibrate.record import record_vision
from vlmforge.calibrate.text import record_text
from vlmforge.config import CompileConfig, InferenceScheme, require_supported
from vlmforge.formats.mxq import read_mxq
from vlmforge.images.layout import DYNAMIC, Layout
from vlmforge.original.reference import torch_device
from vlmforge.progress import Progress
from vlmforge.source.checkpoint import Checkpoint
from vlmforge.stages.calibration import (
    Calibration,
    TextCalibration,
    calibrate_language,
)
from vlmforge.stages.forecast import forecast
from vlmforge.stages.largest import LargestImage, largest_image
from vlmforge.stages.mblt import mblt_compile
from vlmforge.stages.mxq import mxq_compile
from vlmforge.stages.overrides import workspace_overrides
from vlmforge.stages.package import write_package
from vlmforge.stages.preflight import (
    require_consistent,
    require_material,
    require_outputs,
    require_room,
)
from vlmforge.stages.workspace import Workspace

Result = TypeVar("Result")


@dataclass
class Summary:
    """What a compilation did.

    Attributes:
        files: paths of the files made, with their sizes in bytes.
        seconds: wall time of each stage.
        checks: largest relative error of each captured component against the original.
        aside: transformations that do not apply, by component: name to node to reason.
        largest: what the largest image costs; None where all get one size, or there are none.
    """

    files: dict[str, int] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    checks: dict[str, float] = field(default_factory=dict)
    aside: dict[str, dict[str, dict[str, str]]] = field(default_factory=dict)
    largest: LargestImage | None = None


def compile_model(
    model: str | Path,
    out: Path | str,
    *,
    images: ImageSource = None,
    text: TextCalibration | None = None,
    num_samples: int = 100,
    max_new_tokens: int = 500,
    seed: int = 0,
    config: CompileConfig | None = None,
    device: str = "cpu",
    dtype: str | None = None,
    layout: Layout = DYNAMIC,
    scheme: InferenceScheme = InferenceScheme.ALL,
    work_dir: Path | str | None = None,
    choose: Callable[[Workspace, CompileConfig], CompileConfig] | None = None,
    announce: Callable[[str], None] | None = None,
    progress: Progress | None = None,
) -> Summary:
    """Compile a checkpoint into a package.

    Args:
        model: a local directory or an id on the Hugging Face Hub.
        out: the package directory to make.
        images: a directory of the user's own calibration images, ``"synthetic"`` for drawn scenes,
            or None for COCO.
        text: what a plain decoder is calibrated with, and nothing else is.
        num_samples: calibration samples of each component.
        max_new_tokens: longest calibration answer.
        seed: of the choice of images or texts.
        config: how to quantize.
        device: ``"cpu"`` or ``"gpu"``.
        dtype: in which the original model answers, as in :class:`Calibration`.
        layout: the sizes of images that the package takes.
        scheme: how the cores of the target share the work.
        work_dir: for everything between; ``<out>.work`` by default.
        choose: gives the configuration to quantize with, once graphs and samples are there.
        announce: is told what is about to be done, and about how long it takes.
        progress: is told of every step.

    Raises:
        VlmforgeError: what can be known to go wrong, before the work begins; see
            :mod:`vlmforge.stages.preflight`.
    """
    config, summary = config or CompileConfig(), Summary()
    stage = partial(_timed, summary)
    calibration = Calibration(images, text, num_samples, max_new_tokens, seed, dtype, layout)
    torch_device(device)
    out, root = require_outputs(out, work_dir)
    checkpoint, space = _require_ready(str(model), root, config, layout)
    require_room(checkpoint, calibration, space, out)
    if announce is not None:
        announce(forecast(checkpoint, calibration, device).sentence())
    prepare_model(checkpoint, space, calibration, device, summary, progress)
    if choose is not None:
        config = stage("tune", choose, space, config)
    _quantize(stage, checkpoint, space, device, scheme, config, progress)
    stage("package", write_package, checkpoint, space, out, config)
    _sum_up(summary, checkpoint, space, out)
    return summary


def _sum_up(summary: Summary, checkpoint: Checkpoint, space: Workspace, out: Path) -> None:
    """What was made, and what of it could not be as asked."""
    summary.aside, summary.largest = _aside(checkpoint, space), largest_image(out)
    graphs = [space.mblt(component) for component in checkpoint.components]
    summary.files = _sizes([*graphs, *sorted(out.iterdir())])


def _aside(checkpoint: Checkpoint, space: Workspace) -> dict[str, dict[str, dict[str, str]]]:
    programs = {part: read_mxq(space.mxq(part), verify=False) for part in checkpoint.components}
    return {part: each.meta["aside"] for part, each in programs.items() if "aside" in each.meta}


def _sizes(files: Sequence[Path]) -> dict[str, int]:
    return {str(file): file.stat().st_size for file in files if file.is_file()}


def _require_ready(
    model: str, root: Path, config: CompileConfig, layout: Layout
) -> tuple[Checkpoint, Workspace]:
    """The model and its workspace, which the configuration fits."""
    require_supported(config)
    checkpoint = Checkpoint.open(model)
    space = Workspace(root, checkpoint.name)
    space.require_replaceable()
    require_consistent(checkpoint, space, config, layout)
    return checkpoint, space


def prepare_model(
    checkpoint: Checkpoint,
    space: Workspace,
    calibration: Calibration,
    device: str = "cpu",
    summary: Summary | None = None,
    progress: Progress | None = None,
) -> Summary:
    """The stages before quantization: samples and captured graphs, left in the workspace.

    Raises:
        CalibrationError, SourceError: as :func:`require_material`.
    """
    summary = summary or Summary()
    stage, text = partial(_timed, summary), calibration.text
    stage("check", require_material, checkpoint, calibration, progress)
    if text is not None:
        stage(
            "calibrate text", record_text, checkpoint, text.files, space.calibration,
            calibration.num_samples, text.length, calibration.seed, progress,
        )  # fmt: skip
    else:
        _calibrate_with_images(stage, checkpoint, space, calibration, device, progress)
    for component in checkpoint.components:
        report = stage(
            f"mblt {component}", mblt_compile, checkpoint, component,
            space.mblt(component), space.calibration, progress,
        )  # fmt: skip
        summary.checks[component] = report["worst"]["relative"]
    return summary


def _calibrate_with_images(
    stage: Callable[..., Any],
    checkpoint: Checkpoint,
    space: Workspace,
    calibration: Calibration,
    device: str,
    progress: Progress | None,
) -> None:
    chosen = (calibration.num_samples, calibration.images, calibration.seed)
    layout = calibration.layout
    source = stage("images", collect_images, space.images, *chosen, progress, layout=layout)
    where = (checkpoint, source, space.calibration, calibration.num_samples)
    options = (calibration.max_new_tokens, device, calibration.dtype, layout, progress)
    stage("calibrate language", calibrate_language, *where, *options)
    stage("calibrate vision", record_vision, *where, layout, progress)


def _quantize(
    stage: Callable[..., Any],
    checkpoint: Checkpoint,
    space: Workspace,
    device: str,
    scheme: InferenceScheme,
    config: CompileConfig,
    progress: Progress | None,
) -> None:
    overrides = workspace_overrides(config, space)
    for component in checkpoint.components:
        stage(
            f"mxq {component}", mxq_compile, space.mblt(component), space.mxq(component),
            space.calibration, device, scheme, config, space.rotation, overrides[component],
            progress,
        )  # fmt: skip


def _timed(
    summary: Summary, name: str, stage: Callable[..., Result], *args: Any, **options: Any
) -> Result:
    start = time.perf_counter()
    result = stage(*args, **options)
    summary.seconds[name] = time.perf_counter() - start
    return result
