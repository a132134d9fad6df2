"""Sampler: questions to language samples."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from vlmforge.calibrate.answers import (
    NONE,
    OWN,
    Answer,
    AnswerSource,
    OwnAnswers,
    WrittenAnswers,
    given_answers,
    no_answers,
)
from vlmforge.calibrate.questions import Question
from vlmforge.original.inputs import Embedded
from vlmforge.original.reference import ReferenceModel
from vlmforge.progress import Progress


@dataclass(frozen=True)
class QuestionBatch:
    """Questions that are answered together.

    Attributes:
        questions: one at least.
        answers: their token ids, where they are known already.
    """

    questions: Sequence[Question]
    answers: list[list[int]] | None = None


@dataclass(frozen=True)
class Sample:
    """One language sample.

    Attributes:
        index: of its question.
        answer: the token ids of the answer.
        arrays: by name.
        facts: what the metadata tells of it.
    """

    index: int
    answer: list[int]
    arrays: dict[str, np.ndarray]
    facts: dict[str, Any]


@dataclass
class Sampler:
    """Lets a batch of questions be answered; it can be sent to another machine.

    Attributes:
        original: loads the original model, once it is needed.
        answers: whose they are.
        max_new_tokens: most of an answer.
        progress: is told of every prompt, and of every token of the model's own answers; it is not
            sent along.
    """

    original: Callable[[], ReferenceModel]
    answers: AnswerSource | WrittenAnswers
    max_new_tokens: int
    progress: Progress | None = None

    def __reduce__(self) -> tuple[Any, ...]:
        """What is sent: neither a model that was loaded nor whom to tell."""
        return Sampler, (self.original, self.answers, self.max_new_tokens)

    def __call__(self, batch: QuestionBatch) -> list[Sample]:
        """The samples of some questions; prompts are dropped as they become samples."""
        reference, questions = self._reference, batch.questions
        prompts = deque(self._prompts(questions))
        answers = batch.answers or self._answer(questions, prompts)
        return [
            _sample(question, answer, prompt, reference.followed_by(prompt, answer))
            for question, answer in zip(questions, answers, strict=True)
            for prompt in [prompts.popleft()]
        ]

    def _prompts(self, questions: Sequence[Question]) -> Iterator[Embedded]:
        doing = f"prompts {questions[0].index + 1} to {questions[-1].index + 1}"
        for done, each in enumerate(questions, start=1):
            yield self._reference.embed(self._reference.inputs(each.prompt.text, [each.image]))
            if self.progress is not None:
                self.progress(doing, done, len(questions))

    @cached_property
    def _reference(self) -> ReferenceModel:
        return self.original()

    @cached_property
    def _answer(self) -> Answer:
        if isinstance(self.answers, WrittenAnswers):
            return self.answers
        if self.answers == OWN:
            return OwnAnswers(self._reference, self.max_new_tokens, self.progress)
        return no_answers if self.answers == NONE else given_answers(self._reference)


def _sample(question: Question, answer: list[int], prompt: Embedded, whole: Embedded) -> Sample:
    arrays = {
        "inputs_embeds": whole.inputs_embeds.numpy(),
        "position_ids": whole.position_ids.numpy(),
        "token_types": whole.token_types.numpy(),
        **{name: rows.numpy() for name, rows in whole.deepstack.items()},
    }
    told = {**question.facts, "prompt_length": prompt.length}
    return Sample(question.index, answer, arrays, told)
