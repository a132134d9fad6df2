"""Sampler: questions to language samples."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
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
from vlmforge.calibrate.kept import KeptAnswers
from vlmforge.calibrate.questions import Question
from vlmforge.original.inputs import Embedded
from vlmforge.original.reference import ReferenceModel
from vlmforge.progress import Progress


@dataclass(frozen=True)
class Sample:
    """One language sample.

    Attributes:
        index: of its question.
        arrays: by name.
        facts: what the metadata tells of it.
    """

    index: int
    arrays: dict[str, np.ndarray]
    facts: dict[str, Any]


@dataclass
class Sampler:
    """Lets a batch of questions be answered; it can be sent to another machine.

    Attributes:
        original: loads the original model, once it is needed.
        answers: whose they are.
        max_new_tokens: most of an answer.
        progress: is told of every token of the model's own answers; it is not sent along.
        kept: where these are kept, if they are; it is not sent along either.
    """

    original: Callable[[], ReferenceModel]
    answers: AnswerSource | WrittenAnswers
    max_new_tokens: int
    progress: Progress | None = None
    kept: KeptAnswers | None = None

    def __reduce__(self) -> tuple[Any, ...]:
        """What is sent: no model that was loaded, nor whom to tell or where to keep anything."""
        return Sampler, (self.original, self.answers, self.max_new_tokens)

    def __call__(self, questions: Sequence[Question]) -> list[Sample]:
        """The samples of some questions; prompts are dropped as they become samples."""
        reference = self._reference
        prompts = deque(
            reference.embed(reference.inputs(each.prompt.text, [each.image])) for each in questions
        )
        answers = self._answer(questions, prompts)
        return [
            _sample(question, prompt, reference.followed_by(prompt, answer))
            for question, answer in zip(questions, answers, strict=True)
            for prompt in [prompts.popleft()]
        ]

    @cached_property
    def _reference(self) -> ReferenceModel:
        return self.original()

    @cached_property
    def _answer(self) -> Answer:
        if isinstance(self.answers, WrittenAnswers):
            return self.answers
        if self.answers == OWN:
            own = OwnAnswers(self._reference, self.max_new_tokens, self.progress)
            return own if self.kept is None else self.kept.keeping(own)
        return no_answers if self.answers == NONE else given_answers(self._reference)


def _sample(question: Question, prompt: Embedded, whole: Embedded) -> Sample:
    arrays = {
        "inputs_embeds": whole.inputs_embeds.numpy(),
        "position_ids": whole.position_ids.numpy(),
        "token_types": whole.token_types.numpy(),
        **{name: rows.numpy() for name, rows in whole.deepstack.items()},
    }
    return Sample(question.index, arrays, {**question.facts, "prompt_length": prompt.length})
