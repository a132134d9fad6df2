"""Stages 4 to 6: both parts on canvases of mixed sizes and shapes, several in a conversation."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import PreTrainedModel

from training import vision
from training.family import WIDTH, family_of
from training.model import learning
from training.questions import ORDINALS
from training.schedule import Stage
from training.shown import Mixture, Shown, conversations, encoded, joined, mixed, squares
from training.text import accuracy, answer
from training.views import tokens

READING = 0.5
"""Weight of what linear readers learn, beside the answers."""

HELD_OUT = 12
"""Steps of held-out scenes in a report."""


def train(model: PreTrainedModel, stages: Mapping[Mixture, Stage]) -> None:
    """Train `model` stage by stage on what each shows, resuming where their checkpoints stand."""
    learning(model)
    heads = vision.Heads(WIDTH, vision.CLASSES | vision.PLACES)
    orders = nn.Linear(WIDTH, len(ORDINALS))
    module = nn.ModuleDict({"sample": model, "heads": heads, "order_heads": orders})
    for mixture, stage in stages.items():
        for step in stage.steps(module):
            answered, read = _losses(module, mixed(stage.seeds(step), mixture))
            (answered + READING * read).backward()
            if stage.reporting(step):
                numbers = {"answers": answered.item(), "reading": read.item()}
                stage.report(step, numbers | _accuracy(model, stage))


def _losses(module: nn.ModuleDict, shown: Shown) -> tuple[Tensor, Tensor]:
    """Return the loss of the answers and that of the readers, a mean over the images."""
    scenes, model = shown.scenes(), module["sample"]
    family = family_of(model)
    images = encoded(model, scenes, shown.canvases)
    answers = answer(model, conversations(shown, scenes, family), joined(images))
    columns = [[scene.items for scene in column] for column in zip(*scenes, strict=True)]
    read = [
        vision.loss(module["heads"](found), vision.targets_of(items, canvas, family))
        for found, items, canvas in zip(images, columns, shown.canvases, strict=True)
    ]
    lengths = [tokens(canvas, family) for canvas in shown.canvases]
    order = _order_loss(module["order_heads"](answers.images), lengths)
    return answers.loss(), torch.stack(read).mean() + order


def _order_loss(logits: Tensor, lengths: list[int]) -> Tensor:
    """Return the cross entropy of which picture each token is of, halfway in the text model."""
    orders = [torch.full((length,), index) for index, length in enumerate(lengths)]
    targets = torch.cat(orders).expand(len(logits), -1)
    return functional.cross_entropy(logits.flatten(0, 1), targets.flatten())


def _accuracy(model: PreTrainedModel, stage: Stage) -> dict[str, float]:
    """Return the accuracy on held-out scenes by kind; of square canvases over all kinds."""
    seeds = stage.held_out((HELD_OUT + 1) * stage.batch)
    *mixed_steps, last = [
        seeds[start : start + stage.batch] for start in range(0, len(seeds), stage.batch)
    ]
    square = accuracy(model, [squares(last)]).values()
    found = accuracy(model, [mixed(each) for each in mixed_steps])
    return found | {"square": sum(square) / len(square)}
