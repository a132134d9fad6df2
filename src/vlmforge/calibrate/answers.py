"""Answers: what stands behind the prompt of a language sample."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from vlmforge.calibrate.given import answer_tokens
from vlmforge.calibrate.questions import Question
from vlmforge.original.inputs import Embedded
from vlmforge.original.reference import ReferenceModel
from vlmforge.progress import Progress

OWN, DRAFT, NONE = "own", "draft", "none"
WORDS = (OWN, DRAFT, NONE)

AnswerSource = Path | str
"""``"own"``: the model's own answers; ``"draft"``: those of a draft of it; ``"none"``: prompts
alone; or a file whose lines are JSON objects of an ``image``, relative to the file, a ``question``
and an ``answer``."""

Answer = Callable[[Sequence[Question], Sequence[Embedded]], list[list[int]]]
"""Questions and their prompts as the decoder receives them to the answers' token ids."""


def answers_file(source: AnswerSource) -> Path | None:
    """The file that a source of answers names, if it does; a file called ``own`` is ``./own``."""
    return None if source in WORDS else Path(source)


@dataclass(frozen=True)
class OwnAnswers:
    """The model's own.

    Attributes:
        reference: the model.
        max_new_tokens: most of an answer.
        progress: is told of every token.
    """

    reference: ReferenceModel
    max_new_tokens: int
    progress: Progress | None = None

    def __call__(
        self, questions: Sequence[Question], prompts: Sequence[Embedded]
    ) -> list[list[int]]:
        """See :data:`Answer`."""
        progress, most = self.progress, self.max_new_tokens
        if progress is None:
            return self.reference.answers(prompts, most)
        doing = f"answers {questions[0].index + 1} to {questions[-1].index + 1}"
        found = self.reference.answers(prompts, most, lambda done: progress(doing, done, most))
        progress(doing, most, most)
        return found


@dataclass(frozen=True)
class WrittenAnswers:
    """Those that somebody wrote beforehand.

    Attributes:
        name: of whoever did, for the metadata.
        token_ids: by the index of the question, the end token included.
    """

    name: str
    token_ids: Mapping[int, list[int]]

    def __call__(
        self, questions: Sequence[Question], prompts: Sequence[Embedded]
    ) -> list[list[int]]:
        """See :data:`Answer`."""
        return [self.token_ids[each.index] for each in questions]


def no_answers(questions: Sequence[Question], prompts: Sequence[Embedded]) -> list[list[int]]:
    """Prompts alone; see :data:`Answer`."""
    return [[] for _ in questions]


def given_answers(reference: ReferenceModel) -> Answer:
    """Those that the questions bring along, as the model would have written them."""
    tokenizer = reference.processor.tokenizer.backend_tokenizer

    def answer(questions: Sequence[Question], prompts: Sequence[Embedded]) -> list[list[int]]:
        texts = [each.answer or "" for each in questions]
        return [answer_tokens(tokenizer, text, reference.stop) for text in texts]

    return answer
