"""SmolLM3 (Hugging Face, 2025): a plain decoder some of whose layers have no RoPE."""

from __future__ import annotations

from typing import Any

from vlmforge.errors import SourceError
from vlmforge.families.decoder import Decoder, stated_biases
from vlmforge.families.family import Family
from vlmforge.families.fields import ANY, DECODER, FLAG, NO_EFFECT


def _rotary(settings: Any) -> Any:
    from transformers.models.smollm3.modeling_smollm3 import SmolLM3RotaryEmbedding

    return SmolLM3RotaryEmbedding(settings)


def _turned(part: Any) -> list[bool]:
    layers, said = part.num_hidden_layers, part.no_rope_layers
    if len(said) < layers:
        raise SourceError(
            f"no_rope_layers says of {len(said)} layers whether they have RoPE, of {layers}",
            mend=f"set it to {layers} numbers, 0 for a layer without RoPE",
        )
    return [bool(rope) for rope in said[:layers]]


FAMILY = Family(
    architecture="SmolLM3ForCausalLM",
    prefixes=(("model.", "language_model."),),
    fields={
        "SmolLM3Config": {
            **DECODER,
            "attention_bias": FLAG,
            "mlp_bias": FLAG,
            "no_rope_layer_interval": ANY,
            "no_rope_layers": ANY,
            "pretraining_tp": NO_EFFECT,
        }
    },
    decoder=Decoder(_rotary, biases=stated_biases, turned=_turned),
    models="SmolLM3 3B",
    particular="layers without RoPE",
)
