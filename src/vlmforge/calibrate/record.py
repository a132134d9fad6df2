"""Records what the decoder and the vision encoder receive, as calibration samples."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import partial
from itertools import chain, islice
from pathlib import Path
from typing import Any

import numpy as np
import torch

from vlmforge.calibrate.answers import (
    DRAFT,
    NONE,
    OWN,
    AnswerSource,
    WrittenAnswers,
    answers_file,
)
from vlmforge.calibrate.kept import KeptAnswers
from vlmforge.calibrate.questions import GivenQuestions, ImageQuestions, Question, Questions
from vlmforge.calibrate.sampler import QuestionBatch, Sample, Sampler
from vlmforge.capture.positions import position_tables
from vlmforge.errors import CalibrationError
from vlmforge.formats.samples import SampleWriter
from vlmforge.images.feeds import Feeds, vision_feeds
from vlmforge.images.layout import FIXED, Layout
from vlmforge.images.pictures import Pictures
from vlmforge.images.received import processed
from vlmforge.original.reference import ReferenceModel
from vlmforge.progress import Progress
from vlmforge.source.checkpoint import Checkpoint
from vlmforge.source.pictures import pictures_for
from vlmforge.source.processor import load_image_processor
from vlmforge.tasks.here import HERE
from vlmforge.tasks.tasks import Tasks

BATCH = 16
"""Questions answered at once."""

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}


def record_language(
    checkpoint: Checkpoint,
    images_dir: Path | str | None,
    output_dir: Path | str,
    num_samples: int | None = None,
    max_new_tokens: int = 500,
    device: str = "cpu",
    dtype: str = "float32",
    layout: Layout = FIXED,
    progress: Progress | None = None,
    *,
    answers: AnswerSource | WrittenAnswers = OWN,
    seed: int = 0,
    streamed: bool = False,
    kept: KeptAnswers | None = None,
    tasks: Tasks = HERE,
) -> Path:
    """Record prompts and their answers, as the original's decoder receives them; where they are.

    A sample is ``inputs_embeds`` float32 ``[1, seq, hidden]`` (image features merged, the
    answer included), ``position_ids`` int64 ``[3, seq]`` and ``token_types`` int8
    ``[seq]``; where layers add further features, ``deepstack_0`` and so on like ``inputs_embeds``,
    zero where no image is.

    Args:
        checkpoint: of the original model.
        images_dir: images to ask about, taken in order, again and again; None where a file of
            answers names them.
        output_dir: of all calibration data; the samples go to ``language`` in it.
        num_samples: one an image by default; of given answers all by default, and at most so many.
        max_new_tokens: the longest answer of the model's own.
        device, dtype: ``"cpu"`` or ``"gpu"``; ``"float32"`` or ``"bfloat16"``.
        layout: the sizes of images.
        progress: is told of every sample.
        answers: whose they are, or those that were written beforehand.
        seed: chooses among given answers where there are more.
        streamed: whether weights are read as they are needed; but for own answers they always are.
        kept: where the model's own answers are kept, batch by batch; none are deleted.
        tasks: who answers, :data:`BATCH` questions at a time.

    Raises:
        CalibrationError: no image can be read, lines of answers are malformed, a number is wrong.
        SourceError: the model cannot be loaded, or there is no such device.
    """
    _require_possible(answers, max_new_tokens, dtype)
    source = OWN if isinstance(answers, WrittenAnswers) else answers
    questions = _questions(images_dir, source, num_samples, seed)
    load = partial(ReferenceModel.load, checkpoint, device, DTYPES[dtype], layout)
    original = partial(load, streamed=streamed or answers != OWN)
    sampler = Sampler(original, answers, max_new_tokens, progress)
    facts = _facts(checkpoint, questions, layout, progress)
    facts |= _answer_facts(answers, max_new_tokens) | {"dtype": dtype, "device": device}
    batches = _batches(questions.shown(pictures_for(checkpoint, layout)))
    found = _sampled(sampler, batches, tasks, kept if answers == OWN else None)
    with SampleWriter(Path(output_dir), "language", facts) as writer:
        for sample in chain.from_iterable(found):
            writer.add(sample.arrays, **sample.facts)
            if progress is not None:
                progress("language samples", sample.index + 1, questions.count)
    return writer.path


def record_vision(
    checkpoint: Checkpoint,
    images_dir: Path | str | None,
    output_dir: Path | str,
    num_samples: int | None = None,
    layout: Layout = FIXED,
    progress: Progress | None = None,
    *,
    answers: AnswerSource = OWN,
    seed: int = 0,
) -> Path:
    """Record each image as the compiled vision encoder receives it.

    A sample is ``images`` float32 ``[896, 56, 6]`` for 224 × 224; where images keep their sizes,
    ``patches`` float32 ``[patches, 1176]`` and ``position_ids`` int64 ``[3, patches]``. Where the
    encoder attends within windows, there is ``visible`` int64 ``[patches, 2]``, too, and of a tower
    with learned positions ``position_rows`` float32 ``[patches, embed]``. Where images are cut into
    tiles, each sample is one of the tiles of its image. The model itself does not run. Arguments
    and errors are those of :func:`record_language`; the samples go to ``vision``.
    """
    questions = _questions(images_dir, answers, num_samples, seed)
    count, pictures = questions.count, pictures_for(checkpoint, layout)
    processor = load_image_processor(checkpoint.path, checkpoint.family.processor)
    ways = vision_feeds(pictures.facts(), position_tables(checkpoint))
    facts = _facts(checkpoint, questions, layout, progress)
    with SampleWriter(Path(output_dir), "vision", facts) as writer:
        for question in questions.shown(pictures):
            writer.add(_vision_inputs(processor, question, pictures, ways), **question.facts)
            if progress is not None:
                progress("vision samples", question.index + 1, count)
    return writer.path


def _require_possible(
    answers: AnswerSource | WrittenAnswers, max_new_tokens: int, dtype: str
) -> None:
    if dtype not in DTYPES:
        raise CalibrationError(f"there is no dtype {dtype}", mend="choose float32 or bfloat16")
    if max_new_tokens < 1:
        raise CalibrationError("answers have no length", mend="give --max-new-tokens 1 or more")
    if answers == DRAFT:
        raise CalibrationError(
            "no draft has answered",
            mend="`vlmforge calibrate language MODEL --answers draft` compiles one first",
        )


def _batches(questions: Iterable[Question]) -> Iterator[QuestionBatch]:
    waiting = iter(questions)
    while batch := list(islice(waiting, BATCH)):
        yield QuestionBatch(batch)


def _sampled(
    sampler: Sampler, batches: Iterable[QuestionBatch], tasks: Tasks, kept: KeptAnswers | None
) -> Iterator[list[Sample]]:
    return tasks.map(sampler, batches) if kept is None else kept.samples(tasks, sampler, batches)


def _vision_inputs(
    processor: Any, question: Question, pictures: Pictures, ways: Feeds
) -> dict[str, np.ndarray]:
    """The vision encoder's inputs of an image; of one that is cut, those of a tile."""
    found = processed(processor, pictures.given(question.image), pictures.asked, ways.layout)
    shown = found[question.index % len(found)]
    return ways(shown.patches, shown.grid)


def _questions(
    images_dir: Path | str | None, answers: AnswerSource, num_samples: int | None, seed: int
) -> Questions:
    if (file := answers_file(answers)) is not None:
        return GivenQuestions.read(file, num_samples, seed)
    if images_dir is None:
        raise CalibrationError(
            "no images are named", mend="name a directory of images, or a file of answers"
        )
    return ImageQuestions.find(images_dir, num_samples)


def _answer_facts(answers: AnswerSource | WrittenAnswers, most: int) -> dict[str, Any]:
    """Whose answers the samples hold, for the metadata."""
    if isinstance(answers, WrittenAnswers):
        return {"answers": answers.name, "max_new_tokens": most}
    if answers == OWN:
        return {"answers": OWN, "max_new_tokens": most}
    file = answers_file(answers)
    return {"answers": NONE} if file is None else {"answers": "given", "answers_file": file.name}


def _facts(
    checkpoint: Checkpoint, questions: Questions, layout: Layout, progress: Progress | None
) -> dict[str, Any]:
    """What the metadata tells of all samples."""
    return {
        "model": checkpoint.model_id,
        "model_fingerprint": checkpoint.fingerprint(progress),
        **layout.facts(),
        "image_source": questions.source,
    }
