"""Mistral (arXiv 2310.06825): a plain decoder, some of whose releases attend to a window."""

from __future__ import annotations

from typing import Any

from vlmforge.families.decoder import Decoder, no_biases, window_limit
from vlmforge.families.family import Family
from vlmforge.families.fields import DECODER, Reach


def _rotary(settings: Any) -> Any:
    from transformers.models.mistral.modeling_mistral import MistralRotaryEmbedding

    return MistralRotaryEmbedding(settings)


FAMILY = Family(
    architecture="MistralForCausalLM",
    prefixes=(("model.", "language_model."),),
    fields={"MistralConfig": {**DECODER, "sliding_window": Reach()}},
    decoder=Decoder(_rotary, biases=no_biases, limits=window_limit),
    models="Mistral 7B, Mistral Nemo",
    particular="heads of a size of their own; a window bounds the package",
)
