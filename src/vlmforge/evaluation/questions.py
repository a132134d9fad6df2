"""Evaluation: how many questions a package answers, and how far it strays from a reference."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike

from vlmforge.decode.generate import Options
from vlmforge.errors import RunError
from vlmforge.evaluation.divergence import compare
from vlmforge.evaluation.outcome import Outcome, summaries, summary
from vlmforge.evaluation.sizes import SEVERAL, bucket
from vlmforge.prompt.messages import Message
from vlmforge.run.conversation import Conversation
from vlmforge.run.session import Session
from vlmforge.serve.engine import Engine


@dataclass(frozen=True)
class Question:
    """One line of a question file.

    Attributes:
        image: path of the image, or of several.
        question, answer: texts; answers are compared stripped and case-folded.
        kind: a group to report on its own, or None.
    """

    image: Path | str | Sequence[Path | str]
    question: str
    answer: str
    kind: str | None = None

    @property
    def images(self) -> tuple[Path | str, ...]:
        """The paths of all images."""
        return (self.image,) if isinstance(self.image, (Path, str)) else tuple(self.image)

    @property
    def messages(self) -> list[Message]:
        """The question as a conversation: the images, then the text."""
        images = [{"type": "image", "image": image} for image in self.images]
        return [{"role": "user", "content": [*images, {"type": "text", "text": self.question}]}]

    def is_answered_by(self, text: str) -> bool:
        """Whether the text is the answer."""
        return text.strip().casefold() == self.answer.strip().casefold()


class ReferenceAnswer(Protocol):
    """What the original model answers."""

    @property
    def text(self) -> str:
        """Without special tokens."""

    @property
    def token_ids(self) -> Sequence[int]:
        """``[T]``, greedy, the end token included."""

    @property
    def logits(self) -> ArrayLike:
        """float32 ``[T, vocab]``, from which each token was chosen."""


class Reference(Protocol):
    """The original model."""

    def answer(
        self, image: Path | str | Sequence[Path | str], question: str, max_new_tokens: int
    ) -> ReferenceAnswer:
        """Answer one question about one image, or about several, greedily."""


def read_questions(path: Path | str) -> list[Question]:
    """The questions of a JSON-lines file; image paths are relative to the file.

    Lines end at line feeds alone, as JSON texts may hold other separators of Unicode. A byte
    that is not UTF-8 becomes U+FFFD.

    Raises:
        RunError: the file is missing or empty, or lines are malformed (each is named).
    """
    path = Path(path)
    try:
        lines = path.read_bytes().decode("utf-8-sig", "replace").split("\n")
    except OSError as error:
        raise RunError(
            f"the questions cannot be read: {error.strerror}",
            where=path,
            mend="name a file of questions, a line each",
        ) from error
    questions, problems = [], []
    for number, line in enumerate(lines, 1):
        try:
            if line.strip():
                questions.append(_question(json.loads(line), path.parent))
        except ValueError as error:
            problems.append(f"line {number}: {error}")
    if problems or not questions:
        raise RunError(
            "; ".join(problems) or "there are no questions",
            where=path,
            mend='write lines as {"image": FILE, "question": TEXT, "answer": TEXT}; '
            'several images are "images": [FILE, FILE]',
        )
    return questions


def evaluate(
    session: Session,
    questions: Sequence[Question],
    *,
    max_new_tokens: int = 32,
    reference: Reference | None = None,
    on_answer: Callable[[Question, str], None] | None = None,
    max_running: int = 8,
) -> dict[str, Any]:
    """Answer every question greedily, several at once.

    Args:
        session: the package.
        questions: at least one.
        max_new_tokens: most tokens of an answer.
        reference: the original model, to compare with.
        on_answer: called with each question and the package's answer, in the questions' order.
        max_running: questions answered at once, which changes no answer.

    Returns:
        ``n``, ``accuracy`` (exact matches / n); with a reference also ``reference_accuracy`` and,
        over all tokens of the reference's answers, ``top1_agreement``, ``kl`` (mean
        KL(reference ‖ package), nats) and, of two questions or more, ``kl_standard_error``.
        Where questions have kinds, ``kinds``: kind to the same of its questions; where images
        keep their sizes and these differ, ``sizes`` alike.

    Raises:
        RunError: an image is unreadable or a question longer than the session's maximum length.
    """
    outcomes = []
    with Engine(session, max_running) as engine:
        judge = _Judge(Conversation(session, engine.prefixes), reference, max_new_tokens)
        options = Options(max_new_tokens=max_new_tokens)
        answers = engine.map((question.messages for question in questions), options)
        for question, generation in zip(questions, answers, strict=True):
            if on_answer is not None:
                on_answer(question, generation.text)
            outcomes.append(judge.outcome(question, generation.text))
    kinds = summaries(outcomes, lambda each: each.kind)
    sizes = summaries(outcomes, lambda each: each.size)
    groups = {"kinds": kinds} | ({"sizes": sizes} if len(sizes) > 1 else {})
    return {**summary(outcomes), **{name: found for name, found in groups.items() if found}}


@dataclass(frozen=True)
class _Judge:
    """Judges the answers of a package, beside a reference if there is one."""

    conversation: Conversation
    reference: Reference | None
    max_new_tokens: int

    def outcome(self, question: Question, text: str) -> Outcome:
        """What became of a question that was answered with a text."""
        right, size = question.is_answered_by(text), self._size(question)
        if self.reference is None:
            return Outcome(right, question.kind, size)
        asked = (question.image, question.question, self.max_new_tokens)
        answer = self.reference.answer(*asked)
        logits = self.conversation.teacher_forced(question.messages, answer.token_ids)
        divergence = compare(np.asarray(answer.logits), logits)
        reference_right = question.is_answered_by(answer.text)
        return Outcome(right, question.kind, size, reference_right, np.asarray(divergence))

    def _size(self, question: Question) -> str | None:
        session = self.conversation.session
        if session.package.vision is None or "image_size" in session.package.vision.meta:
            return None
        if len(question.images) > 1:
            return SEVERAL
        _, (visual, *_) = session.prepare(question.messages)
        return bucket(visual.grid)


def _question(record: object, directory: Path) -> Question:
    """The question of a parsed line; raises ValueError."""
    if not isinstance(record, dict):
        raise ValueError("not a JSON object")
    for key in ("question", "answer"):
        if not isinstance(record.get(key), str):
            raise ValueError(f"{key!r} is missing or not a text")
    if not isinstance(record.get("kind", ""), str):
        raise ValueError("'kind' is not a text")
    image = _image(record, directory)
    return Question(image, record["question"], record["answer"], record.get("kind"))


def _image(record: dict[str, Any], directory: Path) -> Path | tuple[Path, ...]:
    """The path of a line's image, or those of its images; raises ValueError."""
    if "images" not in record:
        if not isinstance(record.get("image"), str):
            raise ValueError("'image' is missing or not a text")
        return directory / record["image"]
    names = record["images"]
    if "image" in record or not isinstance(names, list) or not names:
        raise ValueError("'images' is no list of texts, or stands beside 'image'")
    if not all(isinstance(name, str) for name in names):
        raise ValueError("'images' is no list of texts")
    return tuple(directory / name for name in names)
