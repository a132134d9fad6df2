"""Phi-3 to Phi-4-mini (arXiv 2404.14219, 2503.01743): fused products, heads turned in part.

A model of long contexts has two tables of RoPE, for sequences up to the length it was first trained
on and for longer ones (LongRoPE, arXiv 2402.13753). A package has the first.
"""

from __future__ import annotations

from typing import Any

from vlmforge.families.decoder import Decoder, Limits, no_biases, window_limit
from vlmforge.families.family import Family
from vlmforge.families.fields import (
    ANY,
    DECODER,
    NO_EFFECT,
    ROPE_FIELDS,
    Fields,
    Fraction,
    Only,
    Reach,
)

UNBIASED = Only((False, None), "choose a model whose products have no biases")


def _rotary(settings: Any) -> Any:
    from transformers.models.phi3.modeling_phi3 import Phi3RotaryEmbedding

    return Phi3RotaryEmbedding(settings)


def _limits(part: Any) -> Limits:
    rope = part.rope_parameters
    first = rope["original_max_position_embeddings"] if rope["rope_type"] == "longrope" else None
    return {**window_limit(part), "original_max_position_embeddings": first}


ROPE: Fields = {
    **ROPE_FIELDS["decoder"],
    "long_factor": NO_EFFECT,
    "original_max_position_embeddings": Reach(),
    "partial_rotary_factor": Fraction(),
    "rope_type": Only(("default", "longrope"), "choose a model with one of default, longrope"),
    "short_factor": ANY,
}

FAMILY = Family(
    architecture="Phi3ForCausalLM",
    prefixes=(("model.", "language_model."),),
    fields={
        "Phi3Config": {
            **DECODER,
            "attention_bias": UNBIASED,
            "embd_pdrop": NO_EFFECT,
            "lm_head_bias": UNBIASED,
            "mlp_bias": UNBIASED,
            "original_max_position_embeddings": ANY,
            "partial_rotary_factor": Fraction(),
            "resid_pdrop": NO_EFFECT,
            "sliding_window": Reach(),
        }
    },
    decoder=Decoder(
        _rotary,
        rope_fields=ROPE,
        fused={
            "qkv_proj": ("q_proj", "k_proj", "v_proj"),
            "gate_up_proj": ("gate_proj", "up_proj"),
        },
        biases=no_biases,
        limits=_limits,
    ),
    models="Phi-3, Phi-3.5 mini, Phi-4-mini",
    particular="fused products, heads turned in part, the first table of LongRoPE",
)
