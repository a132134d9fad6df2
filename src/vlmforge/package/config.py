"""``config.json`` of a package: the original's, plus where the compiled programs are."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from vlmforge.families.family import Family

MAX_POSITIONS = 32768


def text_file(name: str) -> str:
    """File name of the compiled text model."""
    return f"{name}_text_model.mxq"


def vision_file(name: str) -> str:
    """File name of the compiled vision encoder."""
    return f"{name}_vision_transformer.mxq"


def package_config(
    original: dict[str, Any], name: str, family: Family, vision: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """The package's configuration.

    Args:
        original: the checkpoint's ``config.json``.
        name: of the model, which names the files.
        family: of the checkpoint.
        vision: ``Program.meta`` of the vision program.
    """
    config = copy.deepcopy(original)
    for key in ("torch_dtype", "dtype", "quantization_config"):
        config.pop(key, None)
    config |= {
        "architectures": [family.package_architecture],
        "model_type": family.package_type,
        "mxq_path": text_file(name),
        "max_position_embeddings": MAX_POSITIONS,
        "sliding_window": MAX_POSITIONS,
        "tie_word_embeddings": True,
    }
    if isinstance(part := config.get(family.decoder.settings), dict):
        part["mxq_path"] = text_file(name)
    if family.tower is not None:
        settings = config.get(family.tower.settings, {})
        config[family.tower.settings] = {**settings, "mxq_path": vision_file(name)}
    if (vision or {}).get("layout") == "dynamic":
        config["dynamic_vision"] = True
    return config
