"""Many conversations about the same scenes, packed into one sequence behind shared images.

Each branch is a conversation of one or several turns. A branch sees the system prompt, the
images and itself, and its positions start right behind the last image, so the model meets exactly
what it meets when that conversation is held alone.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import torch
from torch import Tensor

from training.questions import Items, Question, ask_several
from training.tokenizer import SYSTEM, token_id, tokenizer
from training.views import Grid

BRANCHES = (1, 1, 1, 1, 1, 1, 1, 1, 1, 3)
"""Turns of each branch, as many branches for every image."""

_IGNORED = -1

Shape = Grid | int
"""Rows and columns of a picture's tokens, or how many there are, one position behind the other."""


@dataclass(frozen=True)
class Packed:
    """Sequences of a batch, padded to one length.

    ids: int64 `[batch, length]`. positions: int64 `[3, batch, length]`. mask: bool
    `[batch, 1, length, length]`, true where a row may look. answers: int64 `[batch, length]`,
    at each answer token the index of its question, elsewhere -1. questions: all of the batch.
    """

    ids: Tensor
    positions: Tensor
    mask: Tensor
    answers: Tensor
    questions: list[Question]


class _Sequence:
    """A sequence while it grows."""

    def __init__(self) -> None:
        self.ids: list[int] = []
        self.places: list[tuple[int, int, int]] = []
        self.branches: list[int] = []
        self.answers: list[int] = []

    def add_text(self, text: str, place: int, branch: int, answer: int = _IGNORED) -> int:
        """Append `text` from position `place`; return the next position."""
        ids = tokenizer().encode(text)
        self.ids += ids
        self.places += [(p, p, p) for p in range(place, place + len(ids))]
        self.branches += [branch] * len(ids)
        self.answers += [answer] * len(ids)
        return place + len(ids)

    def add_image(self, shape: Shape, place: int) -> int:
        """Append an image's placeholders from `place`; return the next position."""
        if isinstance(shape, int):
            places, behind = [(p, p, p) for p in range(place, place + shape)], place + shape
        else:
            cells = product(*map(range, shape))
            places = [(place, place + row, place + column) for row, column in cells]
            behind = place + max(shape)
        self.ids += [token_id("<|image_pad|>")] * len(places)
        self.places += places
        self.branches += [0] * len(places)
        self.answers += [_IGNORED] * len(places)
        return behind

    def add_branch(self, questions: list[Question], first: int, place: int, branch: int) -> None:
        """Append one conversation; its questions are numbered from `first`."""
        for turn, question in enumerate(questions):
            opening = "" if turn == 0 else "\n<|im_start|>user\n"
            asked = f"{opening}{question.text}<|im_end|>\n<|im_start|>assistant\n"
            place = self.add_text(asked, place, branch)
            place = self.add_text(f"{question.answer}<|im_end|>", place, branch, first + turn)


def pack(
    shown: list[list[Items]],
    shapes: list[Shape],
    rngs: list[random.Random],
    further: Sequence[str] = ("image",),
) -> Packed:
    """Ask `BRANCHES` conversations about the scenes of each sequence and pack them.

    `shown` holds the scenes of each sequence, `shapes` those of their tokens in every sequence,
    `further` the kinds of questions that are asked besides about several scenes.
    """
    questions: list[Question] = []
    sequences = [
        _sequence(scenes, shapes, rng, questions, further)
        for scenes, rng in zip(shown, rngs, strict=True)
    ]
    length = max(len(sequence.ids) for sequence in sequences)
    pad = (0, 0, 0)
    places = torch.tensor([s.places + [pad] * (length - len(s.ids)) for s in sequences])
    return Packed(
        ids=_padded([s.ids for s in sequences], length, token_id("<|endoftext|>")),
        positions=places.permute(2, 0, 1),
        mask=_mask(_padded([s.branches for s in sequences], length, _IGNORED)),
        answers=_padded([s.answers for s in sequences], length, _IGNORED),
        questions=questions,
    )


def _sequence(
    scenes: list[Items],
    shapes: list[Shape],
    rng: random.Random,
    asked: list[Question],
    further: Sequence[str],
) -> _Sequence:
    sequence = _Sequence()
    start = f"<|im_start|>system\n{SYSTEM}<|im_end|>\n<|im_start|>user\n"
    place = sequence.add_text(start, 0, 0)
    for number, shape in enumerate(shapes, start=1):
        name = f"Picture {number}: " if number > 1 else ""
        place = sequence.add_text(f"{name}<|vision_start|>", place, 0)
        place = sequence.add_image(shape, place)
        place = sequence.add_text("<|vision_end|>", place, 0)
    for branch, turns in enumerate(BRANCHES * len(shapes), start=1):
        questions = ask_several(scenes, turns, rng, further)
        sequence.add_branch(questions, len(asked), place, branch)
        asked += questions
    return sequence


def _padded(rows: list[list[int]], length: int, fill: int) -> Tensor:
    return torch.tensor([row + [fill] * (length - len(row)) for row in rows])


def _mask(branches: Tensor) -> Tensor:
    """Return who may look at whom: earlier tokens of the same branch or of the shared start."""
    rows, columns = branches[:, :, None], branches[:, None, :]
    causal = torch.ones(branches.shape[1], branches.shape[1], dtype=torch.bool).tril()
    return ((columns == 0) | (rows == columns)).logical_and(causal)[:, None]
