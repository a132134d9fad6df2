"""Stage 1: teach the vision tower what lies under each of its 8x8 output tokens."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from training.schedule import Stage
from training.tower import encode, patches
from vlmforge.calibrate.scenes import COLORS, OUTLINES, RADII, SIDE, Item, draw_scene

TOKENS = 8
"""Rows and columns of output tokens."""

WORDS = {"shape": list(OUTLINES), "color": list(COLORS), "size": list(RADII)}
NOTHING = -100


class Heads(nn.Module):
    """Linear readers of the tower's output, used in this stage only."""

    def __init__(self, hidden: int) -> None:
        super().__init__()
        sizes = {name: len(words) for name, words in WORDS.items()} | {"covered": 2, "middle": 2}
        self.heads = nn.ModuleDict({name: nn.Linear(hidden, n) for name, n in sizes.items()})

    def forward(self, tokens: Tensor) -> dict[str, Tensor]:
        """Return the logits of each attribute: float32 `[images, 64, classes]`."""
        return {name: head(tokens) for name, head in self.heads.items()}


def labels(items: tuple[Item, ...]) -> dict[str, Tensor]:
    """Return int64 `[64]` targets: attributes of the item over each token's middle.

    `covered` tells items from background, `middle` marks the one token under an item's center.
    """
    names = (*WORDS, "covered", "middle")
    grids = {name: torch.full((TOKENS, TOKENS), NOTHING) for name in names}
    grids["covered"].zero_()
    grids["middle"].zero_()
    step = SIDE / TOKENS
    ticks = torch.arange(TOKENS) * step + step / 2
    for item in items:
        x, y = item.center
        inside = (ticks[:, None] - y) ** 2 + (ticks[None] - x) ** 2 <= item.radius**2
        for name, words in WORDS.items():
            grids[name][inside] = words.index(getattr(item, name))
        grids["covered"][inside] = 1
        grids["middle"][int(y // step), int(x // step)] = 1
    return {name: grid.flatten() for name, grid in grids.items()}


def batch(seeds: range) -> tuple[Tensor, dict[str, Tensor]]:
    """Draw crowded scenes (3 to 9 items): patches `[n, 256, 588]`, targets `[n, 64]` each."""
    scenes = [draw_scene(seed, 3, 9) for seed in seeds]
    targets = [labels(scene.items) for scene in scenes]
    stacked = {name: torch.stack([t[name] for t in targets]) for name in targets[0]}
    return patches([scene.image for scene in scenes]), stacked


def loss(logits: dict[str, Tensor], targets: dict[str, Tensor]) -> Tensor:
    """Return the sum of the cross entropies of all attributes."""
    pairs = ((logits[name].flatten(0, 1), target.flatten()) for name, target in targets.items())
    return sum(functional.cross_entropy(score, target) for score, target in pairs)


@torch.no_grad()
def accuracy(visual: nn.Module, heads: Heads, seeds: range) -> dict[str, float]:
    """Return the share of tokens whose attribute is read right, on the scenes of `seeds`."""
    inputs, targets = batch(seeds)
    found = {name: score.argmax(-1) for name, score in heads(encode(visual, inputs)).items()}
    known = {name: target != NOTHING for name, target in targets.items()}
    return {
        name: (found[name] == target)[known[name]].float().mean().item()
        for name, target in targets.items()
    }


def train(visual: nn.Module, stage: Stage) -> None:
    """Train `visual` for the steps of `stage`, resuming where its checkpoint stands."""
    heads = Heads(visual.config.hidden_size)
    module = nn.ModuleDict({"visual": visual, "heads": heads})
    for step in stage.steps(module):
        inputs, targets = batch(stage.seeds(step))
        loss(heads(encode(visual, inputs)), targets).backward()
        if stage.reporting(step):
            stage.report(step, accuracy(visual, heads, stage.held_out(64)))
