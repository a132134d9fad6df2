"""What settings of decoders ask for, before any weight is read."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from transformers import MistralConfig

from vlmforge.errors import SourceError
from vlmforge.families import mistral, smollm3
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
