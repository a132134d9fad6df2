"""Stage 4: both parts on canvases of mixed sizes and shapes, several images a conversation."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from training import vision
from training.schedule import Stage
from training.shown import Shown, conversations, encoded, joined, mixed, squares
from training.text import accuracy, answer

READING = 0.5
"""Weight of what linear readers learn, beside the answers."""

HELD_OUT = 12
"""Steps of held-out scenes in a report."""


def train(model: nn.Module, stage: Stage) -> None:
    """Train `model` for the steps of `stage`, resuming where its checkpoint stands."""
    visual = model.model.visual.requires_grad_(True)
    heads = vision.Heads(visual.config.hidden_size, vision.CLASSES | vision.PLACES)
    module = nn.ModuleDict({"sample": model, "heads": heads})
    for step in stage.steps(module):
        shown = mixed(stage.seeds(step))
        answered, read = _losses(model, heads, shown)
        (answered + READING * read).backward()
        if stage.reporting(step):
            numbers = {"answers": answered.item(), "reading": read.item()}
            stage.report(step, numbers | _accuracy(model, stage))


def _losses(model: nn.Module, heads: vision.Heads, shown: Shown) -> tuple[Tensor, Tensor]:
    """Return the loss of the answers, and the mean over the images of that of the readers."""
    scenes = shown.scenes()
    images = encoded(model.model.visual, scenes, shown.canvases)
    answered = answer(model, conversations(shown, scenes), joined(images)).loss()
    columns = [[scene.items for scene in column] for column in zip(*scenes, strict=True)]
    read = [
        vision.loss(heads(tokens), vision.targets_of(items, canvas))
        for tokens, items, canvas in zip(images, columns, shown.canvases, strict=True)
    ]
    return answered, torch.stack(read).mean()


def _accuracy(model: nn.Module, stage: Stage) -> dict[str, float]:
    """Return the accuracy on held-out scenes by kind; of square canvases over all kinds."""
    seeds = stage.held_out((HELD_OUT + 1) * stage.batch)
    *mixed_steps, last = [
        seeds[start : start + stage.batch] for start in range(0, len(seeds), stage.batch)
    ]
    square = accuracy(model, [squares(last)]).values()
    found = accuracy(model, [mixed(each) for each in mixed_steps])
    return found | {"square": sum(square) / len(square)}
