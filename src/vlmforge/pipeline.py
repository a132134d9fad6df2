"""The whole flow, step by step: read this file first.

    checkpoint ── capture ──► .mblt ── transform, quantize ──► .mxq ── package ──► directory
         └────── calibrate ──► samples ─────────┘

Every step runs a function of ``vlmforge.stages`` or ``vlmforge.calibrate``, which is a command of
``vlmforge`` as well and runs alone from the files of the steps before it. :func:`compile_model`
runs those whose files are not there yet, or follow from something else than what is asked for now.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from vlmforge.calibrate.answers import OWN, AnswerSource
from vlmforge.calibrate.images import ImageSource
from vlmforge.config import CompileConfig, InferenceScheme, require_supported
from vlmforge.families.family import LANGUAGE
from vlmforge.formats.mxq import read_mxq
from vlmforge.images.layout import DYNAMIC, Layout
from vlmforge.original.reference import torch_device
from vlmforge.progress import Progress, Stages, in_stage
from vlmforge.signing.keys import SigningKey
from vlmforge.source.checkpoint import Checkpoint
from vlmforge.stages import steps
from vlmforge.stages.calibration import Calibration, TextCalibration
from vlmforge.stages.forecast import forecast
from vlmforge.stages.largest import LargestImage, largest_image
from vlmforge.stages.lock import locked
from vlmforge.stages.plan import Plan
from vlmforge.stages.preflight import require_consistent, require_outputs, require_room
from vlmforge.stages.step import Step
from vlmforge.stages.steps import Job
from vlmforge.stages.workspace import Workspace


@dataclass
class Summary:
    """What a compilation did.

    Attributes:
        files: paths of the files made, with their sizes in bytes.
        seconds: wall time of each step that ran; the others were made already.
        checks: largest relative error of each captured component against the original.
        aside: transformations that do not apply, by component: name to node to reason.
        largest: what the largest image costs; None where all get one size, or there are none.
        answers: whose answers the calibration samples hold; None where texts calibrate.
    """

    files: dict[str, int] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    checks: dict[str, float] = field(default_factory=dict)
    aside: dict[str, dict[str, dict[str, str]]] = field(default_factory=dict)
    largest: LargestImage | None = None
    answers: str | None = None


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
    answers: AnswerSource = OWN,
    scheme: InferenceScheme = InferenceScheme.ALL,
    work_dir: Path | str | None = None,
    sign: SigningKey | None = None,
    choose: Callable[[Workspace, CompileConfig], CompileConfig] | None = None,
    fresh: bool = False,
    announce: Callable[[str], None] | None = None,
    progress: Progress | None = None,
) -> Summary:
    """Compile a checkpoint into a package; one that was interrupted goes on.

    Args:
        model, out: a local directory or an id on the Hub, and the package directory to make.
        images: a directory to calibrate with, ``"synthetic"`` for drawn scenes, None for COCO.
        text: what a plain decoder is calibrated with, and nothing else is.
        num_samples, max_new_tokens: samples of each component, and tokens of the longest answer.
        seed: of the choice of images or texts.
        config: how to quantize.
        device: ``"cpu"`` or ``"gpu"``.
        dtype, answers: how, and whether, the original answers, as in :class:`Calibration`.
        layout: the sizes of images that the package takes.
        scheme: how the cores of the target share the work.
        work_dir: for everything between; ``<out>.work`` by default.
        sign: a key to sign the package with.
        choose: gives the configuration to quantize with, once graphs and samples are there.
        fresh: whether to do again what was made before.
        announce: is told what is about to be done, and of each step why it runs or is left out.
        progress: is told of every step; and of the stages, if it is one of :class:`Stages`.

    Raises:
        VlmforgeError: what can be known to go wrong, before the work begins: ``stages.preflight``.
    """
    config, lengths = config or CompileConfig(), (num_samples, max_new_tokens)
    calibration = Calibration(images, text, *lengths, seed, dtype, layout, answers)
    torch_device(device)
    out, root = require_outputs(out, work_dir)
    with locked(root):
        checkpoint, space = _require_ready(str(model), root, config, layout)
        require_room(checkpoint, calibration, space, out)
        job = Job(checkpoint, space, device, progress)
        plan, first = Plan.of(space, announce, fresh, progress), preparation(job, calibration)
        last = partial(quantization, job, scheme=scheme, out=out, sign=sign)
        tuning = [] if choose is None else ["tune"]
        _announce(announce, job, calibration, [*_names(first), *tuning, *_names(last(config))])
        plan.run(first)
        plan.run(last(_tuned(job, config, choose)))
        return _summary(job, out, plan.seconds)


def _names(steps: Sequence[Step]) -> list[str]:
    return [step.name for step in steps]


def _tuned(
    job: Job,
    config: CompileConfig,
    choose: Callable[[Workspace, CompileConfig], CompileConfig] | None,
) -> CompileConfig:
    """The configuration, once it is tuned if it is asked for."""
    if choose is None:
        return config
    with in_stage(job.progress, "tune"):
        return choose(job.space, config)


def _announce(
    announce: Callable[[str], None] | None,
    job: Job,
    calibration: Calibration,
    names: Sequence[str],
) -> None:
    """Say what is about to be done, and about how long it takes, if anybody listens."""
    stages = job.progress if isinstance(job.progress, Stages) else None
    if announce is None and stages is None:
        return
    foreseen = forecast(job.checkpoint, calibration, job.device)
    if announce is not None:
        announce(foreseen.sentence())
    if stages is not None:
        stages.expect(foreseen.stages(names))


def preparation(job: Job, calibration: Calibration) -> list[Step]:
    """From a checkpoint to samples and captured graphs."""
    if calibration.text is not None:
        samples = [steps.text_samples(job, calibration)]
    else:
        collected = [] if calibration.answers_file else [steps.images(job, calibration)]
        language = steps.answers(job, calibration)
        samples = [*collected, language, steps.pictures(job, calibration)]
    graphs = [steps.graph(job, part) for part in job.parts]
    return [steps.check(job, calibration, samples), *samples, *graphs]


def quantization(
    job: Job,
    config: CompileConfig,
    scheme: InferenceScheme,
    out: Path,
    sign: SigningKey | None = None,
) -> list[Step]:
    """From samples and captured graphs to a package."""
    programs = [steps.program(job, part, config, scheme) for part in job.parts]
    return [*programs, steps.package(job, config, out, sign)]


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


def _summary(job: Job, out: Path, seconds: dict[str, float]) -> Summary:
    """What was made, and what of it could not be as asked."""
    space, parts = job.space, job.parts
    reports = {part: json.loads(space.report(part).read_text("utf-8")) for part in parts}
    metas = {part: read_mxq(space.mxq(part), verify=False).meta for part in parts}
    files = [*(space.mblt(part) for part in parts), *sorted(out.iterdir())]
    return Summary(
        {str(file): file.stat().st_size for file in files if file.is_file()},
        seconds,
        {part: report["worst"]["relative"] for part, report in reports.items()},
        {part: meta["aside"] for part, meta in metas.items() if "aside" in meta},
        largest_image(out),
        metas[LANGUAGE]["samples"].get("answers"),
    )
