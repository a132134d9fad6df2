"""``config.json`` of packages: what names the programs, for this project and for other clients."""

from __future__ import annotations

from typing import Any

import pytest

from tests.conftest import CONFIG, DECODER_CONFIG
from vlmforge.families.registry import families, family_of
from vlmforge.package.config import package_config

NESTED: dict[str, Any] = {**CONFIG, "text_config": {"hidden_size": 96, "mxq_path": "old"}}


def test_a_part_for_text_names_the_text_program_too() -> None:
    config = package_config(NESTED, "tiny", family_of(NESTED))

    assert config["mxq_path"] == config["text_config"]["mxq_path"] == "tiny_text_model.mxq"
    assert config["vision_config"]["mxq_path"] == "tiny_vision_transformer.mxq"
    assert NESTED["text_config"]["mxq_path"] == "old"


@pytest.mark.parametrize("original", [CONFIG, DECODER_CONFIG], ids=["flat", "plain decoder"])
def test_without_a_part_for_text_there_is_one_name(original: dict[str, Any]) -> None:
    config = package_config(original, "tiny", family_of(original))

    assert config["mxq_path"] == "tiny_text_model.mxq"
    assert "text_config" not in config


@pytest.mark.parametrize(("layout", "dynamic"), [("dynamic", True), ("tiles", None), (None, None)])
def test_images_of_any_size_are_told(layout: str | None, dynamic: bool | None) -> None:
    config = package_config(CONFIG, "tiny", family_of(CONFIG), {"layout": layout})

    assert config.get("dynamic_vision") == dynamic


def test_embeddings_are_called_as_in_transformers() -> None:
    names = {family.architecture: family.package_embedding for family in families().values()}

    assert names["LlamaForCausalLM"] == "model.embed_tokens.weight"
    assert names["Qwen2VLForConditionalGeneration"] == "model.language_model.embed_tokens.weight"
    assert names["SmolVLMForConditionalGeneration"] == "model.text_model.embed_tokens.weight"
