"""Give an untrained model what a trained one of another family has learned."""

from __future__ import annotations

import re
from pathlib import Path

import torch
from transformers import AutoModelForImageTextToText, PreTrainedModel

SAME = {
    r"mlp\.linear_fc": "mlp.fc",
    r"merger\.linear_fc1": "merger.mlp.0",
    r"merger\.linear_fc2": "merger.mlp.2",
    r"merger\.norm": "merger.ln_q",
}
"""What Qwen3-VL's tower calls the parts that Qwen2-VL's has too."""


def inherit(model: PreTrainedModel, checkpoint: Path) -> list[str]:
    """Give `model` all weights of a checkpoint that it has by name and shape.

    Returns the names of those that stay as they were initialized: what the other family has not.
    """
    donor = AutoModelForImageTextToText.from_pretrained(checkpoint, dtype=torch.float32)
    given, weights = donor.state_dict(), model.state_dict()
    found = {name: given.get(_told(name)) for name in weights}
    taken = {
        name: tensor
        for name, tensor in found.items()
        if tensor is not None and tensor.shape == weights[name].shape
    }
    model.load_state_dict(weights | taken)
    return sorted(weights.keys() - taken.keys())


def _told(name: str) -> str:
    for own, other in SAME.items():
        name = re.sub(own, other, name)
    return name
