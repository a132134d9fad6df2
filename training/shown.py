"""What the sequences of one training step show: scenes, one or several a sequence."""

from __future__ import annotations

import random
from dataclasses import dataclass

import torch
from torch import Tensor
from transformers import PreTrainedModel

from training.canvas import Canvas, draw_canvas
from training.conversation import Packed, pack
from training.family import Family
from training.tower import features
from training.views import tokens
from vlmforge.calibrate.scenes import Scene


@dataclass(frozen=True)
class Mixture:
    """What the steps of a stage show.

    Attributes:
        squares: share of the steps that show one scene a sequence on the square canvas.
        numbers: images of a sequence of the other steps, drawn evenly from these.
        further: kinds of questions that are asked besides about several images.
    """

    squares: float
    numbers: tuple[int, ...]
    further: tuple[str, ...] = ("image",)


EVEN = Mixture(0.3, (1, 1, 2, 2, 3))
PAIRS = Mixture(
    0.1,
    (1, 2, 2, 2),
    ("image",) * 3 + ("description",) * 3 + ("position",) * 2 + ("count", "item"),
)
SEVERAL = Mixture(0.15, (1, 2, 2, 3, 3), ("image",) * 8 + ("position", "description", "count"))


@dataclass(frozen=True)
class Shown:
    """The seeds of each sequence's scenes, and the canvas that each place has in all of them.

    About several scenes, `further` kinds of questions are asked besides.
    """

    seeds: list[range]
    canvases: list[Canvas]
    further: tuple[str, ...] = ("image",)

    def scenes(self) -> list[list[Scene]]:
        """Draw the scenes of each sequence."""
        return [
            [canvas.draw(seed) for canvas, seed in zip(self.canvases, seeds, strict=True)]
            for seeds in self.seeds
        ]


def squares(seeds: range) -> Shown:
    """Show one scene a sequence, each on the square canvas."""
    return Shown([range(seed, seed + 1) for seed in seeds], [Canvas()])


def mixed(seeds: range, mixture: Mixture = EVEN) -> Shown:
    """Show one to three scenes a sequence on canvases drawn from the first seed."""
    rng = random.Random(f"canvases {seeds.start}")
    if rng.random() < mixture.squares:
        return squares(seeds)
    number = rng.choice(mixture.numbers)
    firsts = range(seeds.start, seeds.stop - number + 1, number)
    canvases = [draw_canvas(rng).on_grid() for _ in range(number)]
    seen = [range(first, first + number) for first in firsts]
    return Shown(seen, canvases, mixture.further)


def encoded(
    model: PreTrainedModel, scenes: list[list[Scene]], canvases: list[Canvas]
) -> list[Tensor]:
    """Look at each place's scenes: float32 `[levels, sequences, tokens, hidden]` each."""
    columns = zip(*scenes, strict=True)
    return [
        features(model, [scene.image for scene in column], canvas.grid)
        for column, canvas in zip(columns, canvases, strict=True)
    ]


def conversations(shown: Shown, scenes: list[list[Scene]], family: Family) -> Packed:
    """Ask about the scenes of each sequence."""
    rngs = [random.Random(f"questions {seeds.start}") for seeds in shown.seeds]
    items = [[scene.items for scene in sequence] for sequence in scenes]
    shapes = [canvas.grid if family.mrope else tokens(canvas, family) for canvas in shown.canvases]
    return pack(items, shapes, rngs, shown.further)


def joined(images: list[Tensor]) -> Tensor:
    """Return the tokens of each sequence's images one after another."""
    return torch.cat(images, dim=2)
