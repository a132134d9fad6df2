"""Case: a conversation, or a piece of text, on which program and original are compared."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np

from vlmforge.calibrate.images import find_images
from vlmforge.calibrate.prompts import prompt_for
from vlmforge.calibrate.scenes import draw_scene
from vlmforge.decode.generate import Options
from vlmforge.errors import RunError
from vlmforge.evaluation.questions import read_questions
from vlmforge.formats.plain_text import read_text
from vlmforge.images.reading import ImageSource
from vlmforge.prompt.messages import Message
from vlmforge.run.conversation import Conversation
from vlmforge.run.session import Session

SCENES = 888_000_000
"""Seed of the first scene drawn where no images are given; calibration draws from 0 on."""


@dataclass(frozen=True)
class Wanted:
    """Which cases are wanted; at most one of the three paths is given.

    Attributes:
        questions: a JSON-lines file of questions and answers about images.
        images: a directory.
        text: a UTF-8 text.
        samples: most cases.
        max_new_tokens: longest answer to a question about ``images``.
        length: tokens of a piece of ``text``.
    """

    questions: Path | None = None
    images: Path | None = None
    text: Path | None = None
    samples: int = 4
    max_new_tokens: int = 32
    length: int = 256


@dataclass(frozen=True)
class Case:
    """What is run.

    Attributes:
        name: for people.
        token_ids: int64 ``[seq]``, prompt and answer.
        prompt: tokens of the prompt; the others are those that decoding would read one by one.
        images: those of the prompt, in order.
    """

    name: str
    token_ids: np.ndarray
    prompt: int
    images: tuple[ImageSource, ...] = ()


def collect_cases(session: Session, wanted: Wanted) -> list[Case]:
    """The cases wanted, at least one; scenes are drawn where no path is given.

    Raises:
        RunError: several paths, an unreadable one, or images for a package that sees none.
    """
    given = [path for path in (wanted.questions, wanted.images, wanted.text) if path is not None]
    if len(given) > 1:
        raise RunError(
            "several kinds of inputs are given",
            mend="give one of --questions, --images and --text",
        )
    if wanted.text is not None:
        return text_cases(session, wanted.text, wanted.samples, wanted.length)
    if session.vision is None:
        raise RunError(
            "the package has no vision program", where=session.package.dir, mend="give --text FILE"
        )
    if wanted.questions is not None:
        return question_cases(session, wanted.questions, wanted.samples)
    return image_cases(session, wanted.images, wanted.samples, wanted.max_new_tokens)


def question_cases(session: Session, path: Path, count: int) -> list[Case]:
    """The first questions of a JSON-lines file, with the answers given there."""
    cases = []
    for question in islice(read_questions(path), count):
        prompt = session.prompts.encode(question.messages)
        answer = session.prompts.tokenizer.encode(question.answer, add_special_tokens=False).ids
        cases.append(_case(question.question, prompt.token_ids, answer, question.images))
    return cases


def image_cases(
    session: Session, directory: Path | None, count: int, max_new_tokens: int
) -> list[Case]:
    """Images with calibration's kinds of prompts, and the answers the package gives itself.

    Without a directory, drawn scenes that no calibration uses.
    """
    cases = []
    for index, image in enumerate(islice(_images(directory), count)):
        text = prompt_for(index).text
        content = [{"type": "image", "image": image}, {"type": "text", "text": text}]
        messages: list[Message] = [{"role": "user", "content": content}]
        prompt = session.prompts.encode(messages)
        options = Options(max_new_tokens)
        answer = Conversation(session).generate(messages, options).token_ids
        cases.append(_case(text, prompt.token_ids, answer, (image,)))
    return cases


def text_cases(session: Session, path: Path, count: int, length: int) -> list[Case]:
    """The first pieces of a text, of ``length`` tokens; the second half counts as decoded.

    Raises:
        FormatError: the text cannot be read, or is not UTF-8.
        RunError: it has fewer than two tokens.
    """
    ids = session.prompts.tokenizer.encode(read_text(path), add_special_tokens=False).ids
    pieces = [ids[start : start + length] for start in range(0, len(ids), length)]
    kept = [piece for piece in pieces[:count] if len(piece) > 1]
    if not kept:
        raise RunError("the text has fewer than two tokens", where=path, mend="give a longer text")
    half = [(piece[: len(piece) // 2], piece[len(piece) // 2 :]) for piece in kept]
    return [
        _case(f"{path.name} {index}", np.array(prompt, np.int64), answer, ())
        for index, (prompt, answer) in enumerate(half)
    ]


def _images(directory: Path | None) -> Iterator[ImageSource]:
    if directory is not None:
        return iter(find_images(directory))
    return (draw_scene(SCENES + index).image for index in range(1 << 20))


def _case(
    name: str, prompt: np.ndarray, answer: Sequence[int], images: tuple[ImageSource, ...]
) -> Case:
    token_ids = np.concatenate([prompt, np.array(answer, np.int64)])
    return Case(name, token_ids, len(prompt), images)
