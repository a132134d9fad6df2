"""The last stage teaches all parts, and its readers what belongs to which picture."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from training.canvas import Canvas
from training.canvases import _losses, _order_loss
from training.family import FAMILIES
from training.model import build
from training.shown import Shown
from training.views import tokens
from training.vision import CLASSES, PLACES, Heads

SHOWN = Shown([range(5, 7)], [Canvas((224, 300), (224, 280)), Canvas((300, 224), (280, 196))])


@pytest.mark.parametrize("family", FAMILIES)
def test_every_part_learns(family: str) -> None:
    parts = {"heads": Heads(256, CLASSES | PLACES), "order_heads": nn.Linear(256, 3)}
    module = nn.ModuleDict({"sample": build(1, family), **parts})
    answered, read = _losses(module, SHOWN)
    (answered + read).backward()
    assert all(parameter.grad is not None for parameter in module.parameters())


def test_a_token_is_of_the_picture_it_lies_in() -> None:
    first, second = lengths = [tokens(canvas, FAMILIES["qwen2-vl"]) for canvas in SHOWN.canvases]
    right = torch.tensor([[0] * first + [1] * second])
    logits = 100.0 * nn.functional.one_hot(right, 3)
    assert _order_loss(logits, lengths) < 1e-6
    assert _order_loss(logits.flip(-1), lengths) > 1
