"""``config.json`` of a package: the original's, plus where the compiled programs are."""

from __future__ import annotations

import copy
from typing import Any

ARCHITECTURE = "MobilintQwen2VLForConditionalGeneration"
MODEL_TYPE = "mobilint-qwen2_vl"
MAX_POSITIONS = 32768


def text_file(name: str) -> str:
    """File name of the compiled text model."""
    return f"{name}_text_model.mxq"


def vision_file(name: str) -> str:
    """File name of the compiled vision encoder."""
    return f"{name}_vision_transformer.mxq"


def package_config(original: dict[str, Any], name: str) -> dict[str, Any]:
    """The package's configuration.

    Args:
        original: the checkpoint's ``config.json``.
        name: of the model, which names the files.
    """
    config = copy.deepcopy(original)
    for key in ("torch_dtype", "dtype", "quantization_config"):
        config.pop(key, None)
    config |= {
        "architectures": [ARCHITECTURE],
        "model_type": MODEL_TYPE,
        "mxq_path": text_file(name),
        "max_position_embeddings": MAX_POSITIONS,
        "sliding_window": MAX_POSITIONS,
        "tie_word_embeddings": True,
    }
    config["vision_config"] = {**config.get("vision_config", {}), "mxq_path": vision_file(name)}
    return config
