"""Granite (IBM, releases 3 and 4 without experts): a plain decoder with four multipliers."""

from __future__ import annotations

from typing import Any

from vlmforge.families.decoder import Decoder, Multipliers, stated_biases
from vlmforge.families.family import Family
from vlmforge.families.fields import DECODER, FLAG, Positive


def _rotary(settings: Any) -> Any:
    from transformers.models.granite.modeling_granite import GraniteRotaryEmbedding

    return GraniteRotaryEmbedding(settings)


def _multipliers(part: Any) -> Multipliers:
    return Multipliers(
        embedding=part.embedding_multiplier,
        residual=part.residual_multiplier,
        scores=part.attention_multiplier,
        logits=1 / part.logits_scaling,
    )


FAMILY = Family(
    architecture="GraniteForCausalLM",
    prefixes=(("model.", "language_model."),),
    fields={
        "GraniteConfig": {
            **DECODER,
            "attention_bias": FLAG,
            "attention_multiplier": Positive(),
            "embedding_multiplier": Positive(),
            "logits_scaling": Positive(),
            "mlp_bias": FLAG,
            "residual_multiplier": Positive(),
        }
    },
    decoder=Decoder(_rotary, biases=stated_biases, multipliers=_multipliers),
    models="Granite 3, 2B and 8B",
    particular="without experts; multipliers become part of weights",
)
