"""Draft: a model rounded in haste, which answers calibration's questions for the original."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import partial
from pathlib import Path
from queue import SimpleQueue

from vlmforge.calibrate.answers import DRAFT, NONE, WrittenAnswers
from vlmforge.calibrate.kept import KeptAnswers
from vlmforge.calibrate.questions import ImageQuestions, Question
from vlmforge.calibrate.record import record_language, record_vision
from vlmforge.config import CompileConfig, HessianQuantConfig, InferenceScheme
from vlmforge.decode.generate import Options
from vlmforge.formats.fingerprint import fingerprint
from vlmforge.formats.kept import clear_kept
from vlmforge.formats.kept_file import KeptFile
from vlmforge.formats.kinds import PACKAGE
from vlmforge.formats.stage import open_stage
from vlmforge.images.layout import Layout
from vlmforge.progress import Progress
from vlmforge.prompt.messages import Message
from vlmforge.run.session import Session
from vlmforge.serve.answer import Answer
from vlmforge.serve.engine import Engine
from vlmforge.source.checkpoint import Checkpoint
from vlmforge.source.pictures import pictures_for
from vlmforge.stages.mblt import mblt_compile
from vlmforge.stages.mxq import mxq_compile
from vlmforge.stages.overrides import workspace_overrides
from vlmforge.stages.package import write_package
from vlmforge.stages.plan import Plan
from vlmforge.stages.records import Records
from vlmforge.stages.step import Step
from vlmforge.stages.workspace import DRAFT_FOLDER, Workspace

SAMPLES = 8
"""Prompts, without answers, that a draft's scales are chosen by."""

RUNNING = 32
"""Answers in the making."""

AHEAD = 2 * RUNNING
"""Questions that are asked and not answered yet."""

Shown = tuple[Path, int, Layout]
"""A directory of images, how many prompts about them, and the sizes they are shown at."""

CONFIG = CompileConfig(hessian_quant=HessianQuantConfig(apply=False))
"""W8A8, rounded to nearest."""


def draft_answers(
    checkpoint: Checkpoint,
    images: Path,
    place: Path,
    num_samples: int,
    max_new_tokens: int,
    layout: Layout,
    device: str = "cpu",
    dtype: str = "float32",
    progress: Progress | None = None,
    kept: KeptAnswers | None = None,
) -> WrittenAnswers:
    """Compile a draft of a model, and let it answer all questions about images.

    Args:
        checkpoint: of the original model.
        images: a directory of them.
        place: a directory for the draft's files, which are gone afterwards.
        num_samples, max_new_tokens, layout: as of the samples that get the answers.
        device: where the compiler computes; the draft runs on the CPU.
        dtype: in which the original embeds the draft's prompts.
        progress: is told of every step.
        kept: where the draft and its answers are kept, each as it ends, for a calibration that is
            interrupted: see :func:`clear_answers`.

    Raises:
        VlmforgeError: as the stages.
    """
    options = Options(max_new_tokens=max_new_tokens)
    with open_stage(place / DRAFT_FOLDER) as stage:
        space = Workspace(stage.new, checkpoint.name)
        store = kept or KeptAnswers(stage.new / "kept", {})
        shown = (images, min(SAMPLES, num_samples), layout)
        make = partial(_compile, checkpoint, space, shown, device, dtype, progress)
        package = _kept_draft(make, images, store)
        store = replace(store, facts={**store.facts, DRAFT: str(fingerprint(package))})
        questions = ImageQuestions.find(images, num_samples)
        asked = questions.shown(pictures_for(checkpoint, layout))
        with Engine(Session.open(package), RUNNING) as engine:
            return WrittenAnswers(
                DRAFT, _asked(engine, asked, options, num_samples, store, progress)
            )


def clear_answers(folder: Path) -> None:
    """Delete answers that were kept in a folder, and the draft that gave them."""
    package = folder / DRAFT_FOLDER
    if folder.is_dir():
        with open_stage(package, PACKAGE) as stage:
            if package.is_dir() and PACKAGE.foreign(package) is None:
                package.rename(stage.new)
        Records(folder, folder).forget(DRAFT)
    clear_kept(folder)


def _asked(
    engine: Engine,
    questions: Iterable[Question],
    options: Options,
    count: int,
    kept: KeptAnswers,
    progress: Progress | None,
) -> dict[int, list[int]]:
    """The token ids of the answers, by the index of the question; each is kept as it ends.

    At most :data:`AHEAD` questions are under way, so that few images are held at once.
    """
    found: dict[int, list[int]] = {}
    under_way: dict[int, tuple[Answer, KeptFile]] = {}
    ended: SimpleQueue[int] = SimpleQueue()

    def receive() -> None:
        index = ended.get()
        answer, place = under_way.pop(index)
        found[index] = list(answer.result().token_ids)
        place.write([found[index]])
        if progress is not None:
            progress("answers of a draft", len(found), count)

    for each in questions:
        place = kept.batch([each])
        if (known := place.read()) is not None:
            (found[each.index],) = known
            continue
        if len(under_way) == AHEAD:
            receive()
        answer = engine.submit(_messages(each), options, on_end=partial(ended.put, each.index))
        under_way[each.index] = (answer, place)
    while under_way:
        receive()
    return found


def _messages(question: Question) -> list[Message]:
    shown = {"type": "image", "image": question.image}
    return [{"role": "user", "content": [shown, {"type": "text", "text": question.prompt.text}]}]


def _kept_draft(make: Callable[[Path], None], images: Path, kept: KeptAnswers) -> Path:
    """The draft's package, made unless it is kept and follows from the same."""
    package = kept.folder / DRAFT_FOLDER
    facts = {**kept.facts, "set of images": str(fingerprint(images))}
    step = Step(DRAFT, partial(make, package), makes=(package,), facts=facts)
    Plan(Records(kept.folder, kept.folder)).run([step])
    return package


def _compile(
    checkpoint: Checkpoint,
    space: Workspace,
    shown: Shown,
    device: str,
    dtype: str,
    progress: Progress | None,
    package: Path,
) -> None:
    """Make the draft's package."""
    images, few, layout = shown
    where = (checkpoint, images, space.calibration, few)
    record_language(
        *where, device=device, dtype=dtype, layout=layout, progress=progress, answers=NONE
    )
    record_vision(*where, layout, progress)
    for component in checkpoint.components:
        graph = space.mblt(component)
        mblt_compile(checkpoint, component, graph, space.calibration, progress)
    overrides = workspace_overrides(CONFIG, space)
    for component in checkpoint.components:
        mxq_compile(
            space.mblt(component), space.mxq(component), space.calibration, device,
            InferenceScheme.ALL, CONFIG, space.rotation, overrides[component], progress,
        )  # fmt: skip
    write_package(checkpoint, space, package, CONFIG)
