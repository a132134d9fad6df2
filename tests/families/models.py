"""Random checkpoints of a family, as ``save_pretrained`` writes them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch

from tests.conftest import (
    GENERATION,
    PLAIN_TEMPLATE,
    PREPROCESSOR,
    random_weights,
    write_json,
    write_tokenizer,
)
from tests.families.tiled import TILED
from vlmforge.families.family import Family

CONFIGS = Path(__file__).parent / "configs"


def settings_of(family: Family) -> dict[str, Any]:
    """The ``config.json`` of a tiny checkpoint."""
    settings: dict[str, Any] = json.loads(
        (CONFIGS / f"{family.architecture}.json").read_text("utf-8")
    )
    return settings


def write_model(
    family: Family,
    directory: Path,
    settings: dict[str, Any] | None = None,
    dtype: torch.dtype = torch.bfloat16,
) -> Path:
    """A tiny random checkpoint of the family; the directory."""
    config = family.model_class.config_class.from_dict(settings or settings_of(family))
    with torch.device("meta"):
        original = family.model_class(config)
    weights = random_weights(original, 0)
    weights[f"{family.decoder.path}.norm.weight"] /= 4  # small logits: rounding alone costs little
    for name in weights:  # nor is the attention of a tower as sharp as a decoder's
        if "vision" in name and name.endswith(("q_proj.weight", "k_proj.weight")):
            weights[name] /= 3
    original = family.model_class(original.config).to(dtype)
    original.load_state_dict(weights, strict=False)
    original.save_pretrained(directory)
    write_json(directory / "generation_config.json", GENERATION)
    if family.tower is None:
        write_tokenizer(directory, PLAIN_TEMPLATE)
    elif family.architecture in TILED:
        TILED[family.architecture].write(directory)
    else:
        write_tokenizer(directory)
        patch = {"patch_size": original.config.vision_config.patch_size}
        write_json(directory / "preprocessor_config.json", PREPROCESSOR | patch)
    return directory
