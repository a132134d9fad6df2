"""Qwen3 (arXiv 2505.09388): a plain decoder that normalizes each head of queries and keys."""

from __future__ import annotations

from typing import Any

from vlmforge.families.decoder import Decoder, stated_biases
from vlmforge.families.family import Family
from vlmforge.families.fields import DECODER, FLAG


def _rotary(settings: Any) -> Any:
    from transformers.models.qwen3.modeling_qwen3 import Qwen3RotaryEmbedding

    return Qwen3RotaryEmbedding(settings)


FAMILY = Family(
    architecture="Qwen3ForCausalLM",
    prefixes=(("model.", "language_model."),),
    fields={"Qwen3Config": {**DECODER, "attention_bias": FLAG}},
    decoder=Decoder(_rotary, biases=stated_biases, head_norms=True),
    models="Qwen3, 0.6B to 32B",
    particular="without experts; each head of queries and keys is normalized",
)
