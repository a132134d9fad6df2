"""Kept answers: a recording that is interrupted goes on with the batch of questions it was at.

Each batch's answers are written as they are there, with a digest of all they follow from: the
questions, with every pixel, and whatever the caller names beside.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vlmforge.calibrate.questions import Question
from vlmforge.calibrate.sampler import QuestionBatch, Sample, Sampler
from vlmforge.formats.kept import SUFFIX, Digest
from vlmforge.formats.kept_file import KeptFile
from vlmforge.tasks.tasks import Tasks


@dataclass(frozen=True)
class KeptAnswers:
    """Where answers are kept.

    Attributes:
        folder: of the files.
        facts: what all answers follow from besides the questions.
    """

    folder: Path
    facts: Mapping[str, str]

    def batch(self, questions: Sequence[Question]) -> KeptFile:
        """The place of the token ids of the answers to a batch of questions, one at least."""
        digest = Digest(self.facts)
        for each in questions:
            digest.add(each.index, each.prompt.text, np.asarray(each.image))
        return KeptFile(self.folder / f"{questions[0].index:05}{SUFFIX}", digest.hex())

    def samples(
        self, tasks: Tasks, sampler: Sampler, batches: Iterable[QuestionBatch]
    ) -> Iterator[list[Sample]]:
        """The samples of every batch; answers that are kept already are not asked for again.

        Args:
            tasks: who asks.
            sampler: gives the samples of a batch.
            batches: of questions.
        """
        asked: deque[KeptFile | None] = deque()

        def known() -> Iterator[QuestionBatch]:
            for each in batches:
                place = self.batch(each.questions)
                found = place.read()
                asked.append(place if found is None else None)
                yield QuestionBatch(each.questions, found)

        for samples in tasks.map(sampler, known()):
            if (place := asked.popleft()) is not None:
                place.write([each.answer for each in samples])
            yield samples
