"""The whole flow, step by step: read this file first.

    checkpoint ── capture ──► .mblt ── transform, quantize ──► .mxq ── package ──► directory
         └────── calibrate ──► samples ─────────┘

Every step runs a function of ``vlmforge.stages`` or ``vlmforge.calibrate``, which is a command of
``vlmforge`` as well and runs alone from the files of the steps before it. :func:`compile_model`
runs those whose files are not there yet, or follow from something else than what is asked for now.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from vlmforge.bench.watch import Watch
from vlmforge.calibrate.answers import OWN, AnswerSource
from vlmforge.calibrate.images import ImageSource
from vlmforge.config import CompileConfig, InferenceScheme, require_supported
from vlmforge.families.family import LANGUAGE
from vlmforge.formats.mxq import read_mxq
from vlmforge.images.layout import DYNAMIC, Layout
from vlmforge.original.reference import torch_device
from vlmforge.progress import Progress, Stages
from vlmforge.signing.keys import SigningKey
from vlmforge.source.checkpoint import Checkpoint
from vlmforge.stages import steps
from vlmforge.stages.calibration import Calibration, TextCalibration, require_calibration
from vlmforge.stages.costs import Cost, costs
from vlmforge.stages.facts import CONFIGURATION, sample_facts
from vlmforge.stages.forecast import forecast
from vlmforge.stages.foreseen import Foreseen
from vlmforge.stages.largest import LargestImage, largest_image
from vlmforge.stages.lock import locked
from vlmforge.stages.machines import machines, require_seen
from vlmforge.stages.order import Choose, Order, Variant
from vlmforge.stages.plan import Due, Plan
from vlmforge.stages.preflight import require_answers, require_consistent, require_outputs
from vlmforge.stages.records import another
from vlmforge.stages.step import Step
from vlmforge.stages.steps import Job
from vlmforge.stages.workspace import Workspace
from vlmforge.tasks.here import HERE
from vlmforge.tasks.tasks import Tasks


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
        foreseen: what each step was thought to take.
        memory: bytes of its own that this process had at its height, pages of files not counted;
            None where the system does not tell.
    """

    files: dict[str, int] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    checks: dict[str, float] = field(default_factory=dict)
    aside: dict[str, dict[str, dict[str, str]]] = field(default_factory=dict)
    largest: LargestImage | None = None
    answers: str | None = None
    foreseen: dict[str, Cost] = field(default_factory=dict)
    memory: int | None = None


def compile_model(
    model: str | Path,
    out: Path | str,
    *,
    images: ImageSource = None,
    text: TextCalibration | None = None,
    num_samples: int = 100,
    max_new_tokens: int = 500,
    seed: int = 0,
    config: CompileConfig | Mapping[str, CompileConfig] | None = None,
    device: str = "cpu",
    dtype: str | None = None,
    layout: Layout = DYNAMIC,
    answers: AnswerSource = OWN,
    scheme: InferenceScheme = InferenceScheme.ALL,
    work_dir: Path | str | None = None,
    sign: SigningKey | None = None,
    choose: Choose | None = None,
    fresh: bool = False,
    ray: str | None = None,
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
        config: how to quantize; of several, each makes the package of its name in ``out``, and all
            share samples and graphs.
        device: ``"cpu"`` or ``"gpu"``.
        dtype, answers: how, and whether, the original answers, as in :class:`Calibration`.
        layout: the sizes of images that the package takes.
        scheme: how the cores of the target share the work.
        work_dir: for everything between; ``<out>.work`` by default.
        sign: a key to sign the package with.
        choose: gives the configuration to quantize with, once graphs and samples are there.
        fresh: whether to do again what was made before.
        ray: the address of a Ray cluster whose machines answer questions and round weights, such as
            ``"10.0.0.1:6379"``; the files are those of one machine.
        announce: is told what is about to be done, and of each step why it runs or is left out.
        progress: is told of every step; and of the stages, if it is one of :class:`Stages`.

    Raises:
        VlmforgeError: what can be known to go wrong, before the work begins: ``stages.preflight``.
    """
    order = Order(
        model, out, images, text, num_samples, max_new_tokens, seed, config, device, dtype, layout,
        answers, scheme, work_dir, sign, choose, fresh, ray,
    )  # fmt: skip
    _, root = require_outputs(out, work_dir, order.names)
    with locked(root), machines(order.ray, order.device) as tasks:
        return _compiled(order, tasks, announce, progress)


def plan_model(
    model: str | Path, out: Path | str, *, progress: Progress | None = None, **options: Any
) -> Foreseen:
    """What :func:`compile_model` would do with the same arguments, and what it would take.

    Nothing is written.

    Raises:
        VlmforgeError: as :func:`compile_model`, but for what only looking at weights and images
            tells, and for want of room or memory.
    """
    order = Order(model, out, **options)
    job, variants = _opened(order, progress)
    first, plan = preparation(job, order.calibration), Plan.of(job.space, fresh=order.fresh)
    return _foreseen(order, job, first, variants, plan)


def _compiled(
    order: Order, tasks: Tasks, announce: Callable[[str], None] | None, progress: Progress | None
) -> Summary:
    job, variants = _opened(order, progress, tasks)
    require_seen(tasks, job.checkpoint, progress)
    first = preparation(job, order.calibration)
    plan = Plan.of(job.space, announce, order.fresh, progress)
    foreseen = _foreseen(order, job, first, variants, plan)
    foreseen.require_room(job.space.root, variants[0].out)
    foreseen.require_memory()
    if announce is not None:
        announce(foreseen.model)
        announce(foreseen.sentence())
    if isinstance(progress, Stages):
        progress.expect(foreseen.stages)
    watch = Watch()
    with watch.watching():
        plan.run(first)
        for each in variants:
            config = each.config if order.choose is None else order.choose(job.space, each.config)
            plan.run(quantization(each.job, config, order.scheme, each.out, order.sign))
    return _summary(variants, plan.seconds, foreseen, watch)


def _opened(
    order: Order, progress: Progress | None, tasks: Tasks = HERE
) -> tuple[Job, list[Variant]]:
    """The model and its workspace, and what is to be made, which all fit each other."""
    torch_device(order.device)
    out, root = require_outputs(order.out, order.work_dir, order.names)
    for config in order.configs.values():
        require_supported(config)
    checkpoint = Checkpoint.open(str(order.model))
    job = Job(checkpoint, Workspace(root, checkpoint.name), order.device, progress, tasks)
    variants = order.variants(job, out)
    for each in variants:
        each.job.space.require_replaceable()
        require_consistent(checkpoint, each.job.space, each.config, order.layout)
    require_calibration(checkpoint, order.text)
    require_answers(checkpoint, order.calibration)
    return job, variants


def _foreseen(
    order: Order, job: Job, first: Sequence[Step], variants: Sequence[Variant], plan: Plan
) -> Foreseen:
    calibration, course = order.calibration, [*first]
    for each in variants:
        course += quantization(each.job, each.config, order.scheme, each.out, order.sign)
    due = list(plan.foresee(course))
    if order.choose is not None:
        due = [_untuned(each) for each in due]
    asked = {"compensates": any(each.config.hessian_quant.apply for each in variants)}
    found = forecast(job.checkpoint, calibration, job.device, **asked)
    known = costs(job.checkpoint, calibration, found, **asked)
    names = [each.step.name for each in due]
    return Foreseen(found.sentence(), due, {n: known[n.partition(" of ")[0]] for n in names})


def _untuned(due: Due) -> Due:
    """A step that is due for its configuration alone, which tuning may have chosen for it."""
    alone = [*due.reasons] == [another(CONFIGURATION)]
    return replace(due, reasons=(), after=["tune"]) if alone else due


def preparation(job: Job, calibration: Calibration) -> list[Step]:
    """From a checkpoint to samples and captured graphs."""
    if calibration.text is not None:
        samples = [steps.text_samples(job, calibration)]
    else:
        collected = [] if calibration.answers_file else [steps.images(job, calibration)]
        shown = sample_facts(calibration)
        language = steps.answers(job, calibration, shown)
        samples = [*collected, language, steps.pictures(job, calibration, shown)]
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


def _summary(
    variants: Sequence[Variant], seconds: dict[str, float], foreseen: Foreseen, watch: Watch
) -> Summary:
    """What was made, and what of it could not be as asked."""
    space, parts = variants[0].job.space, variants[0].job.parts
    reports = {part: json.loads(space.report(part).read_text("utf-8")) for part in parts}
    metas = {
        each.job.called(part): read_mxq(each.job.space.mxq(part), verify=False).meta
        for each in variants
        for part in parts
    }
    files = [space.mblt(part) for part in parts]
    files += [file for each in variants for file in sorted(each.out.iterdir())]
    return Summary(
        {str(file): file.stat().st_size for file in files if file.is_file()},
        seconds,
        {part: report["worst"]["relative"] for part, report in reports.items()},
        {name: meta["aside"] for name, meta in metas.items() if "aside" in meta},
        largest_image(variants[0].out),
        metas[variants[0].job.called(LANGUAGE)]["samples"].get("answers"),
        {name: foreseen.costs[name] for name in seconds},
        None if watch.memory is None else watch.memory.peak,
    )
