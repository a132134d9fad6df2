"""Kept answers: a recording that is interrupted goes on with the batch of questions it was at.

Each batch's answers are written as they are there, with a digest of all they follow from: the
questions, with every pixel, and whatever the caller names beside.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vlmforge.calibrate.questions import Question
from vlmforge.calibrate.sampler import QuestionBatch, Sample, Sampler
from vlmforge.errors import FormatError
from vlmforge.formats.container import Container, ContainerWriter
from vlmforge.formats.kept import SUFFIX, Digest
from vlmforge.tasks.tasks import Tasks

TOKEN_IDS, LENGTHS = "token_ids", "lengths"


@dataclass(frozen=True)
class KeptBatch:
    """The answers to some questions, once they are there.

    Attributes:
        path: of their file.
        digest: of what they follow from.
    """

    path: Path
    digest: str

    def read(self) -> list[list[int]] | None:
        """The answers' token ids; None if there are no whole ones, or ones of another digest."""
        with suppress(FormatError, OSError):
            file = Container.open(self.path, "kept")
            if file.document["digest"] == self.digest:
                ends = np.cumsum(file.arrays[LENGTHS])[:-1]
                return [each.tolist() for each in np.split(file.arrays[TOKEN_IDS], ends)]
        return None

    def write(self, answers: Sequence[Sequence[int]]) -> None:
        """Keep the answers' token ids; raises :class:`SystemFailure`."""
        with ContainerWriter(self.path, "kept") as writer:
            writer.add(TOKEN_IDS, np.array([each for ids in answers for each in ids], np.int64))
            writer.add(LENGTHS, np.array([len(ids) for ids in answers], np.int64))
            writer.finish({"digest": self.digest})


@dataclass(frozen=True)
class KeptAnswers:
    """Where answers are kept.

    Attributes:
        folder: of the files.
        facts: what all answers follow from besides the questions.
    """

    folder: Path
    facts: Mapping[str, str]

    def batch(self, questions: Sequence[Question]) -> KeptBatch:
        """The place of the answers to a batch of questions, one at least."""
        digest = Digest(self.facts)
        for each in questions:
            digest.add(each.index, each.prompt.text, np.asarray(each.image))
        return KeptBatch(self.folder / f"{questions[0].index:05}{SUFFIX}", digest.hex())

    def samples(
        self, tasks: Tasks, sampler: Sampler, batches: Iterable[QuestionBatch]
    ) -> Iterator[list[Sample]]:
        """The samples of every batch; answers that are kept already are not asked for again.

        Args:
            tasks: who asks.
            sampler: gives the samples of a batch.
            batches: of questions.
        """
        asked: deque[KeptBatch | None] = deque()

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
