"""The sample models: of about 4 million parameters, by their family."""

from __future__ import annotations

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


def learning(model: PreTrainedModel, *, tower: bool = True, text: bool = True) -> None:
    """Let the parts of `model` learn, or leave them as they are."""
    for name, parameter in model.named_parameters():
        of_text = name.startswith(("model.language_model.", "lm_head."))
        parameter.requires_grad_(text if of_text else tower)
