"""``config.json`` of a package: the original's, plus where the compiled programs are."""

from __future__ import annotations

import copy
from typing import Any

MODEL_CLASSES = {
    "Qwen2VLForConditionalGeneration": (
        "MobilintQwen2VLForConditionalGeneration",
        "mobilint-qwen2_vl",
    ),
    "Qwen2ForCausalLM": ("MobilintQwen2ForCausalLM", "mobilint-qwen2"),
}
"""Original architecture to the package's architecture and model type."""

MAX_POSITIONS = 32768


def text_file(name: str) -> str:
    """File name of the compiled text model."""
    return f"{name}_text_model.mxq"


def vision_file(name: str) -> str:
    """File name of the compiled vision encoder."""
    return f"{name}_vision_transformer.mxq"


def package_config(
    original: dict[str, Any], name: str, architecture: str, *, vision: bool = True
) -> dict[str, Any]:
    """The package's configuration.

    Args:
        original: the checkpoint's ``config.json``.
        name: of the model, which names the files.
        architecture: of the checkpoint, a key of :data:`MODEL_CLASSES`.
        vision: whether the package has a vision program.
    """
    config = copy.deepcopy(original)
    for key in ("torch_dtype", "dtype", "quantization_config"):
        config.pop(key, None)
    config |= {
        "architectures": [MODEL_CLASSES[architecture][0]],
        "model_type": MODEL_CLASSES[architecture][1],
        "mxq_path": text_file(name),
        "max_position_embeddings": MAX_POSITIONS,
        "sliding_window": MAX_POSITIONS,
        "tie_word_embeddings": True,
    }
    if vision:
        settings = config.get("vision_config", {})
        config["vision_config"] = {**settings, "mxq_path": vision_file(name)}
    return config
