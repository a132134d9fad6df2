"""Stage 1: teach the vision tower what lies under each of its output tokens."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import PreTrainedModel

from training.canvas import Canvas
from training.family import WIDTH, Family, family_of
from training.model import learning
from training.schedule import Stage
from training.tower import features
from training.views import View, views
from vlmforge.calibrate.scenes import COLORS, GRID, OUTLINES, RADII, Item

WORDS = {"shape": list(OUTLINES), "color": list(COLORS), "size": list(RADII)}
CLASSES = {name: len(words) for name, words in WORDS.items()} | {"covered": 2, "middle": 2}
PLACES = {"row": GRID, "column": GRID}
NOTHING = -100


class Heads(nn.Module):
    """Linear readers of every level of the tower's output, used in training only."""

    def __init__(self, hidden: int, classes: dict[str, int]) -> None:
        super().__init__()
        self.heads = nn.ModuleDict({name: nn.Linear(hidden, n) for name, n in classes.items()})

    def forward(self, tokens: Tensor) -> dict[str, Tensor]:
        """Return the logits of each attribute: float32 `[levels, images, tokens, classes]`."""
        return {name: head(tokens) for name, head in self.heads.items()}


def labels(items: tuple[Item, ...], drawn: tuple[int, int], view: View) -> dict[str, Tensor]:
    """Return int64 `[tokens]` targets: attributes of the item over each token's middle.

    `covered` tells items from background, `middle` marks the one token under an item's center;
    `row` and `column` are of the layout's cell that the token's middle lies in.
    """
    down, right = view.middles(drawn)
    grids = {name: torch.full(view.grid, NOTHING) for name in WORDS}
    grids |= {name: torch.zeros(view.grid, dtype=torch.int64) for name in ("covered", "middle")}
    for item in items:
        x, y = item.center
        inside = (down[:, None] - y) ** 2 + (right[None] - x) ** 2 <= item.radius**2
        for name, words in WORDS.items():
            grids[name][inside] = words.index(getattr(item, name))
        grids["covered"][inside] = 1
        if cell := view.cell((y, x), drawn):
            grids["middle"][cell] = 1
    height, width = drawn
    grids["row"] = (down * GRID // height).long()[:, None].expand(view.grid)
    grids["column"] = (right * GRID // width).long()[None].expand(view.grid)
    return {name: grid.flatten() for name, grid in grids.items()}


def targets_of(scenes: list[tuple[Item, ...]], canvas: Canvas, family: Family) -> dict[str, Tensor]:
    """Return the `labels` of scenes that share a canvas: int64 `[scenes, tokens]` each."""
    seen = views(canvas, family)
    targets = [[labels(items, canvas.drawn, view) for view in seen] for items in scenes]
    return {
        name: torch.stack([torch.cat([view[name] for view in each]) for each in targets])
        for name in targets[0][0]
    }


def batch(model: PreTrainedModel, seeds: range) -> tuple[Tensor, dict[str, Tensor]]:
    """Draw crowded scenes (3 to 9 items): features `[levels, n, tokens, hidden]`, targets each."""
    canvas = Canvas()
    scenes = [canvas.draw(seed, 3, 9) for seed in seeds]
    targets = targets_of([scene.items for scene in scenes], canvas, family_of(model))
    return features(model, [scene.image for scene in scenes], canvas.grid), targets


def loss(logits: dict[str, Tensor], targets: dict[str, Tensor]) -> Tensor:
    """Return the sum of the cross entropies of all attributes that are read."""
    return sum(
        functional.cross_entropy(
            score.flatten(0, -2), targets[name].expand(score.shape[:-1]).flatten()
        )
        for name, score in logits.items()
    )


@torch.no_grad()
def accuracy(model: PreTrainedModel, heads: Heads, seeds: range) -> dict[str, float]:
    """Return the share of tokens whose attribute is read right, on the scenes of `seeds`.

    Only of what stands in place of image tokens.
    """
    tokens, targets = batch(model, seeds)
    found = heads(tokens[0])
    return {name: share(score, targets[name]) for name, score in found.items()}


def share(logits: Tensor, target: Tensor) -> float:
    """Return the share of tokens that have the attribute whose value is read right."""
    return (logits.argmax(-1) == target)[target != NOTHING].float().mean().item()


def train(model: PreTrainedModel, stage: Stage) -> None:
    """Train a model's tower for the steps of `stage`, resuming where its checkpoint stands."""
    learning(model, text=False)
    heads = Heads(WIDTH, CLASSES)
    module = nn.ModuleDict({"sample": model, "heads": heads})
    for step in stage.steps(module):
        tokens, targets = batch(model, stage.seeds(step))
        loss(heads(tokens), targets).backward()
        if stage.reporting(step):
            stage.report(step, accuracy(model, heads, stage.held_out(64)))
