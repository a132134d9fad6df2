"""Checkpoints of every stage, and of the whole training, can be exported."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from training.export import load
from training.model import build
from training.vision import CLASSES, Heads


@pytest.mark.parametrize("kind", ["whole", "joint", "canvas"])
def test_the_weights_of_a_training_are_found(kind: str, tmp_path: Path) -> None:
    model = build(seed=3)
    state = model.state_dict()
    if kind == "canvas":
        module = nn.ModuleDict({"sample": model, "heads": Heads(256, CLASSES)})
        state = {"step": 1, "module": module.state_dict()}
    elif kind == "joint":
        state = {"step": 1, "module": state}
    torch.save(state, tmp_path / "saved.pt")
    found = load(tmp_path / "saved.pt").state_dict()
    assert all(torch.equal(found[name], value) for name, value in model.state_dict().items())
