"""The sample model's shape: a Qwen2-VL of about 4 million parameters."""

from __future__ import annotations

from pathlib import Path

import torch
from transformers import Qwen2VLConfig, Qwen2VLForConditionalGeneration

from training.tokenizer import SPECIAL, VOCABULARY, token_id

VISION = {
    "depth": 4,
    "embed_dim": 128,
    "num_heads": 4,
    "mlp_ratio": 4,
    "hidden_size": 256,
    "patch_size": 14,
    "spatial_merge_size": 2,
    "temporal_patch_size": 2,
    "hidden_act": "quick_gelu",
}

TEXT = {
    "vocab_size": VOCABULARY,
    "hidden_size": 256,
    "intermediate_size": 640,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 4096,
    "max_window_layers": 4,
    "rms_norm_eps": 1e-6,
    "tie_word_embeddings": True,
    "bos_token_id": None,
    "rope_parameters": {
        "rope_type": "default",
        "rope_theta": 10.0,
        "mrope_section": [8, 12, 12],
    },
}
"""The low `rope_theta` lets the height and width sections tell apart eight rows and columns."""


def build(seed: int) -> Qwen2VLForConditionalGeneration:
    """Return the untrained model in float32, initialized from `seed`."""
    torch.manual_seed(seed)
    names = {"vision_start", "vision_end", "image_pad", "video_pad"}
    ids = {f"{name.removesuffix('_pad')}_token_id": token_id(f"<|{name}|>") for name in names}
    ends = {"eos_token_id": token_id("<|im_end|>"), "pad_token_id": token_id(SPECIAL[0])}
    config = Qwen2VLConfig(
        text_config=TEXT | ends, vision_config=VISION, tie_word_embeddings=True, **ids
    )
    return Qwen2VLForConditionalGeneration(config)


def read(model: Qwen2VLForConditionalGeneration, checkpoint: Path) -> None:
    """Give `model` the weights of a checkpoint of its shape."""
    found = Qwen2VLForConditionalGeneration.from_pretrained(checkpoint, dtype=torch.float32)
    model.load_state_dict(found.state_dict())
