"""Qwen2 (arXiv 2407.10671): a plain decoder."""

from __future__ import annotations

from typing import Any

from vlmforge.families.decoder import Decoder
from vlmforge.families.family import Family
from vlmforge.families.fields import DECODER


def _rotary(settings: Any) -> Any:
    from transformers.models.qwen2.modeling_qwen2 import Qwen2RotaryEmbedding

    return Qwen2RotaryEmbedding(settings)


FAMILY = Family(
    architecture="Qwen2ForCausalLM",
    prefixes=(("model.", "language_model."),),
    fields={"Qwen2Config": DECODER},
    decoder=Decoder(_rotary),
    models="Qwen2 and Qwen2.5, 0.5B to 72B",
    particular="biases of queries, keys and values",
)
