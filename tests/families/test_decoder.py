"""What settings of decoders ask for, before any weight is read."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from transformers import MistralConfig, Phi3Config

from vlmforge.errors import SourceError
from vlmforge.families import mistral, phi3, smollm3
from vlmforge.families.decoder import CONTEXT, Biases, stated_biases
from vlmforge.source.settings import model_config


@pytest.mark.parametrize(
    ("window", "context"),
    [(None, CONTEXT), (CONTEXT, CONTEXT), (131072, CONTEXT), (4096, 4096)],
)
def test_a_package_takes_no_more_tokens_than_a_window(window: int | None, context: int) -> None:
    part = MistralConfig(sliding_window=window)
    key = "sliding_window" if context < CONTEXT else None
    assert mistral.FAMILY.decoder.context(part) == (context, key)


def phi3_config(**changes: Any) -> Phi3Config:
    factors = {"short_factor": [1.0] * 8, "long_factor": [4.0] * 8}
    rope = {"rope_type": "longrope", "rope_theta": 1e4, "partial_rotary_factor": 0.5, **factors}
    sizes = {"hidden_size": 64, "num_attention_heads": 2, "pad_token_id": None}
    return Phi3Config(**{**sizes, "rope_parameters": rope, **changes})


def test_a_package_has_the_first_table_of_longrope() -> None:
    decoder, first = phi3.FAMILY.decoder, "original_max_position_embeddings"
    assert decoder.context(phi3_config(**{first: 4096})) == (4096, first)
    assert decoder.context(phi3_config(**{first: 4096}, sliding_window=2047))[0] == 2047
    plain = {"rope_type": "default", "rope_theta": 1e4}
    assert decoder.context(phi3_config(rope_parameters=plain)) == (CONTEXT, None)


@pytest.mark.parametrize("share", [0, -0.5, 1.5])
def test_more_or_less_than_a_head_is_refused(share: float) -> None:
    settings = Phi3Config(pad_token_id=None).to_dict()
    settings["rope_parameters"] = {"rope_theta": 1e4, "partial_rotary_factor": share}
    with pytest.raises(SourceError, match="partial_rotary_factor"):
        model_config(phi3.FAMILY, settings)


@pytest.mark.parametrize("product", ["qkv", "gate_up"])
def test_fused_products_have_the_rows_of_all(product: str) -> None:
    part = phi3_config(num_key_value_heads=1, intermediate_size=48)
    asked = {s.weight: s.asked for s in phi3.FAMILY.decoder.stored(part) if product in s.weight}
    assert list(asked.values()) == [{"qkv": 4 * 32, "gate_up": 96}[product]]


@pytest.mark.parametrize("window", [0, 255, -1])
def test_a_window_that_holds_no_conversation_is_refused(window: int) -> None:
    settings = MistralConfig(sliding_window=window).to_dict()
    with pytest.raises(SourceError, match=f"sliding_window is {window}"):
        model_config(mistral.FAMILY, settings)


def test_every_layer_has_rope_or_not() -> None:
    part = SimpleNamespace(num_hidden_layers=3, no_rope_layers=[1, 0])
    with pytest.raises(SourceError, match="no_rope_layers says of 2 layers"):
        smollm3.FAMILY.decoder.turned(part)
    part.no_rope_layers = [1, 0, 1, 1]
    assert smollm3.FAMILY.decoder.turned(part) == [True, False, True]


def test_biases_are_those_that_are_stated() -> None:
    assert stated_biases(SimpleNamespace()) == Biases()
    found = stated_biases(SimpleNamespace(attention_bias=True, mlp_bias=False))
    assert found == Biases(inputs=True, output=True, mlp=False)
    assert stated_biases(SimpleNamespace(attention_bias=False, mlp_bias=True)).mlp
