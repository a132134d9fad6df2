"""Draft: a model rounded in haste, which answers calibration's questions for the original."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from vlmforge.calibrate.answers import DRAFT, NONE, WrittenAnswers
from vlmforge.calibrate.questions import ImageQuestions, Question
from vlmforge.calibrate.record import record_language, record_vision
from vlmforge.config import CompileConfig, HessianQuantConfig, InferenceScheme
from vlmforge.decode.generate import Options
from vlmforge.formats.stage import open_stage
from vlmforge.images.layout import Layout
from vlmforge.progress import Progress
from vlmforge.prompt.messages import Message
from vlmforge.run.session import Session
from vlmforge.serve.engine import Engine
from vlmforge.source.checkpoint import Checkpoint
from vlmforge.source.pictures import pictures_for
from vlmforge.stages.mblt import mblt_compile
from vlmforge.stages.mxq import mxq_compile
from vlmforge.stages.overrides import workspace_overrides
from vlmforge.stages.package import write_package
from vlmforge.stages.workspace import Workspace

SAMPLES = 8
"""Prompts, without answers, that a draft's scales are chosen by."""

RUNNING = 32
"""Answers in the making."""

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

    Raises:
        VlmforgeError: as the stages.
    """
    with open_stage(place / "draft") as stage:
        space = Workspace(stage.new, checkpoint.name)
        few = min(SAMPLES, num_samples)
        shown = (checkpoint, images, space.calibration, few)
        record_language(
            *shown, device=device, dtype=dtype, layout=layout, progress=progress, answers=NONE
        )
        record_vision(*shown, layout, progress)
        package = _compiled(checkpoint, space, device, progress)
        questions = ImageQuestions.find(images, num_samples)
        asked = questions.shown(pictures_for(checkpoint, layout))
        with Engine(Session.open(package), RUNNING) as engine:
            return WrittenAnswers(
                DRAFT, _asked(engine, asked, max_new_tokens, num_samples, progress)
            )


def _asked(
    engine: Engine,
    questions: Iterable[Question],
    max_new_tokens: int,
    count: int,
    progress: Progress | None,
) -> dict[int, list[int]]:
    """The token ids of the answers, by the index of the question; few images are held at once."""
    indices: list[int] = []

    def messages() -> Iterator[list[Message]]:
        for each in questions:
            indices.append(each.index)
            shown = {"type": "image", "image": each.image}
            asked = {"type": "text", "text": each.prompt.text}
            yield [{"role": "user", "content": [shown, asked]}]

    token_ids: dict[int, list[int]] = {}
    for answer in engine.map(messages(), Options(max_new_tokens=max_new_tokens)):
        token_ids[indices[len(token_ids)]] = list(answer.token_ids)
        if progress is not None:
            progress("answers of a draft", len(token_ids), count)
    return token_ids


def _compiled(
    checkpoint: Checkpoint, space: Workspace, device: str, progress: Progress | None
) -> Path:
    """The draft's package."""
    for component in checkpoint.components:
        graph = space.mblt(component)
        mblt_compile(checkpoint, component, graph, space.calibration, progress)
    overrides = workspace_overrides(CONFIG, space)
    for component in checkpoint.components:
        mxq_compile(
            space.mblt(component), space.mxq(component), space.calibration, device,
            InferenceScheme.ALL, CONFIG, space.rotation, overrides[component], progress,
        )  # fmt: skip
    return write_package(checkpoint, space, space.root / "package", CONFIG)
