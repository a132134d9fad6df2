"""Records what the decoder and the vision encoder receive, as calibration samples."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from vlmforge.calibrate.drawing import drawn
from vlmforge.calibrate.images import find_images, readable
from vlmforge.calibrate.prompts import PromptKind, prompt_for
from vlmforge.capture.positions import position_tables
from vlmforge.errors import CalibrationError
from vlmforge.formats.kinds import IMAGES_RECORD
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

BATCH = 16
"""Questions answered at once."""

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}


@dataclass(frozen=True)
class Question:
    """One image and what is asked about it.

    Attributes:
        index: of the sample.
        file: name of the image file.
        image: upright RGB, at the size it is shown at.
        prompt: the question.
    """

    index: int
    file: str
    image: Image.Image
    prompt: PromptKind

    @property
    def facts(self) -> dict[str, Any]:
        """What the metadata tells of the sample."""
        size = [self.image.height, self.image.width]
        told = {"kind": self.prompt.name, "prompt": self.prompt.text, "image": self.file}
        return {**told, "size": size}


def record_language(
    checkpoint: Checkpoint,
    images_dir: Path | str,
    output_dir: Path | str,
    num_samples: int | None = None,
    max_new_tokens: int = 500,
    device: str = "cpu",
    dtype: str = "float32",
    layout: Layout = FIXED,
    progress: Progress | None = None,
) -> Path:
    """Let the original model answer, and record each whole sequence as its decoder receives it.

    A sample is ``inputs_embeds`` float32 ``[1, seq, hidden]`` (image features merged, the
    model's own answer included), ``position_ids`` int64 ``[3, seq]`` and ``token_types`` int8
    ``[seq]``; where layers add further features, ``deepstack_0`` and so on like ``inputs_embeds``,
    zero where no image is.

    Args:
        checkpoint: of the original model.
        images_dir: images to ask about, taken in order, again and again.
        output_dir: of all calibration data; the samples go to ``language`` in it.
        num_samples: one an image by default.
        max_new_tokens: the longest answer.
        device: ``"cpu"`` or ``"gpu"``.
        dtype: of the model's arithmetic, ``"float32"`` or ``"bfloat16"``.
        layout: the sizes of images.
        progress: is told of every sample.

    Returns:
        The directory of the samples.

    Raises:
        CalibrationError: no image can be read, or a number is out of range.
        SourceError: the model cannot be loaded, or there is no such device.
    """
    if dtype not in DTYPES:
        raise CalibrationError(f"there is no dtype {dtype}", mend="choose float32 or bfloat16")
    if max_new_tokens < 1:
        raise CalibrationError("answers have no length", mend="give --max-new-tokens 1 or more")
    count = _count(images_dir, num_samples)
    reference = ReferenceModel.load(checkpoint, device, DTYPES[dtype], layout)
    facts = _facts(checkpoint, images_dir, layout, progress)
    facts |= {"max_new_tokens": max_new_tokens, "dtype": dtype, "device": device}
    with SampleWriter(Path(output_dir), "language", facts) as writer:
        for batch in _batches(_questions(Path(images_dir), count, reference.pictures)):
            tell = partial(progress, _answering(batch)) if progress is not None else None
            answered = _answered(reference, batch, max_new_tokens, tell)
            for question, (arrays, prompt_length) in zip(batch, answered, strict=True):
                writer.add(arrays, **question.facts, prompt_length=prompt_length)
                if progress is not None:
                    progress("language samples", question.index + 1, count)
    return writer.path


def record_vision(
    checkpoint: Checkpoint,
    images_dir: Path | str,
    output_dir: Path | str,
    num_samples: int | None = None,
    layout: Layout = FIXED,
    progress: Progress | None = None,
) -> Path:
    """Record each image as the compiled vision encoder receives it.

    A sample is ``images`` float32 ``[896, 56, 6]`` for 224 × 224; where images keep their sizes,
    ``patches`` float32 ``[patches, 1176]`` and ``position_ids`` int64 ``[3, patches]``. Where the
    encoder attends within windows, there is ``visible`` int64 ``[patches, 2]``, too, and of a tower
    with learned positions ``position_rows`` float32 ``[patches, embed]``. Where images are cut into
    tiles, each sample is one of the tiles of its image. The model itself does not run. Arguments
    and errors are those of :func:`record_language`; the samples go to ``vision``.
    """
    count, pictures = _count(images_dir, num_samples), pictures_for(checkpoint, layout)
    processor = load_image_processor(checkpoint.path, checkpoint.family.processor)
    ways = vision_feeds(pictures.facts(), position_tables(checkpoint))
    facts = _facts(checkpoint, images_dir, layout, progress)
    with SampleWriter(Path(output_dir), "vision", facts) as writer:
        for question in _questions(Path(images_dir), count, pictures):
            writer.add(_vision_inputs(processor, question, pictures, ways), **question.facts)
            if progress is not None:
                progress("vision samples", question.index + 1, count)
    return writer.path


def _batches(questions: Iterable[Question]) -> Iterator[list[Question]]:
    waiting = iter(questions)
    while batch := list(islice(waiting, BATCH)):
        yield batch


def _answering(batch: Sequence[Question]) -> str:
    return f"answers {batch[0].index + 1} to {batch[-1].index + 1}"


def _answered(
    reference: ReferenceModel,
    batch: Sequence[Question],
    max_new_tokens: int,
    tell: Callable[[int, int], None] | None,
) -> Iterator[tuple[dict[str, np.ndarray], int]]:
    """The arrays of each question's language sample, and the length of its prompt in tokens."""
    prompts = [reference.inputs(each.prompt.text, [each.image]) for each in batch]
    on_step = None if tell is None else lambda done: tell(done, max_new_tokens)
    answers = reference.generate_all(prompts, max_new_tokens, on_step)
    if tell is not None:
        tell(max_new_tokens, max_new_tokens)
    for prompt, answer in zip(prompts, answers, strict=True):
        embedded = reference.embed(prompt.followed_by(answer))
        arrays = {
            "inputs_embeds": embedded.inputs_embeds.numpy(),
            "position_ids": embedded.position_ids.numpy(),
            "token_types": embedded.token_types.numpy(),
            **{name: rows.numpy() for name, rows in embedded.deepstack.items()},
        }
        yield arrays, prompt.length


def _vision_inputs(
    processor: Any, question: Question, pictures: Pictures, ways: Feeds
) -> dict[str, np.ndarray]:
    """The vision encoder's inputs of an image; of one that is cut, those of a tile."""
    found = processed(processor, pictures.given(question.image), pictures.asked, ways.layout)
    shown = found[question.index % len(found)]
    return ways(shown.patches, shown.grid)


def _questions(images_dir: Path, count: int, pictures: Pictures) -> Iterator[Question]:
    """Sample i is image i of n and prompt i of 20; each further round shifts the prompts by one.

    Images that keep their sizes are shown at sizes drawn between the bounds.
    """
    files, asked = find_images(images_dir), 0
    for index in range(count):
        around, which = divmod(index, len(files))
        for path, image in readable([files[which]]):
            shown = drawn(image, index, pictures)
            yield Question(index, path.name, shown, prompt_for(index + around))
            asked += 1
    if not asked:
        raise CalibrationError(
            "no image can be read",
            where=images_dir,
            mend="name a directory of images with --images; `vlmforge images` makes one",
        )


def _count(images_dir: Path | str, num_samples: int | None) -> int:
    images = len(find_images(images_dir))
    if num_samples is not None and num_samples < 1:
        raise CalibrationError("no samples are asked for", mend="give --num-samples 1 or more")
    return num_samples or images


def _facts(
    checkpoint: Checkpoint,
    images_dir: Path | str,
    layout: Layout,
    progress: Progress | None,
) -> dict[str, Any]:
    """What the metadata tells of all samples."""
    return {
        "model": checkpoint.model_id,
        "model_fingerprint": checkpoint.fingerprint(progress),
        **layout.facts(),
        "image_source": _image_source(Path(images_dir)),
    }


def _image_source(images_dir: Path) -> str:
    """``"coco"``, ``"scenes"`` or ``"directory"``, as recorded when the images were collected."""
    try:
        return str(json.loads((images_dir / IMAGES_RECORD).read_text("utf-8"))["source"])
    except (OSError, ValueError, KeyError, TypeError):
        return "directory"
