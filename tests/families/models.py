"""Tiny random checkpoints of every family, as ``save_pretrained`` writes them."""

from __future__ import annotations

import json
from pathlib import Path

import torch

from tests.conftest import (
    GENERATION,
    PLAIN_TEMPLATE,
    PREPROCESSOR,
    random_weights,
    write_json,
    write_tokenizer,
)
from vlmforge.families.family import Family

CONFIGS = Path(__file__).parent / "configs"


def save_model(family: Family, directory: Path, dtype: torch.dtype = torch.bfloat16) -> Path:
    """Write a checkpoint of a family; the directory.

    Logits are small, so that rounding alone costs little.
    """
    settings = json.loads((CONFIGS / f"{family.architecture}.json").read_text("utf-8"))
    with torch.device("meta"):
        original = family.model_class(family.model_class.config_class.from_dict(settings))
    weights = random_weights(original, 0)
    weights[f"{family.decoder.path}.norm.weight"] /= 4
    original = family.model_class(original.config).to(dtype)
    original.load_state_dict(weights, strict=False)
    original.save_pretrained(directory)
    write_tokenizer(directory, *([] if family.tower else [PLAIN_TEMPLATE]))
    write_json(directory / "generation_config.json", GENERATION)
    if family.tower is not None:
        patch = {"patch_size": settings["vision_config"]["patch_size"]}
        write_json(directory / "preprocessor_config.json", PREPROCESSOR | patch)
    return directory
