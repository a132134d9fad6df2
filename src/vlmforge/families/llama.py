"""Llama (arXiv 2407.21783) and what is built like it, such as SmolLM2: a plain decoder."""

from __future__ import annotations

from typing import Any

from vlmforge.families.decoder import Decoder, stated_biases
from vlmforge.families.family import Family
from vlmforge.families.fields import DECODER, FLAG, NO_EFFECT, Only


def _rotary(settings: Any) -> Any:
    from transformers.models.llama.modeling_llama import LlamaRotaryEmbedding

    return LlamaRotaryEmbedding(settings)


FAMILY = Family(
    architecture="LlamaForCausalLM",
    prefixes=(("model.", "language_model."),),
    fields={
        "LlamaConfig": {
            **DECODER,
            "attention_bias": FLAG,
            "is_llama_config": NO_EFFECT,
            "mlp_bias": FLAG,
            "pretraining_tp": NO_EFFECT,
            "rope_interleaved": Only((False, None), "choose a model that rotates halves of heads"),
        }
    },
    decoder=Decoder(_rotary, biases=stated_biases),
    models="Llama 2 and 3, SmolLM2, and others built like them",
    particular="biases as the settings say; RoPE of kind `llama3`",
)
