"""The sample models: of about 4 million parameters, by their family."""

from __future__ import annotations

from pathlib import Path

import torch
from transformers import PreTrainedModel

from training.family import FAMILIES
from training.tokenizer import SPECIAL, token_id


def build(seed: int, family: str = "qwen2-vl") -> PreTrainedModel:
    """Return the untrained model in float32, initialized from `seed`."""
    torch.manual_seed(seed)
    names = {"vision_start", "vision_end", "image_pad", "video_pad"}
    ids = {f"{name.removesuffix('_pad')}_token_id": token_id(f"<|{name}|>") for name in names}
    ends = {"eos_token_id": token_id("<|im_end|>"), "pad_token_id": token_id(SPECIAL[0])}
    kind = FAMILIES[family]
    config = kind.model.config_class(
        text_config={**kind.text, **ends},
        vision_config={**kind.vision},
        tie_word_embeddings=True,
        **ids,
    )
    return kind.model(config)


def read(model: PreTrainedModel, checkpoint: Path) -> None:
    """Give `model` the weights of a checkpoint of its shape."""
    found = type(model).from_pretrained(checkpoint, dtype=torch.float32)
    model.load_state_dict(found.state_dict())
