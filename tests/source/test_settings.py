"""Settings are read as transformers reads them; what no program can compute is refused."""

from __future__ import annotations

import copy
import logging
from typing import Any

import pytest

from tests.conftest import CONFIG, DECODER_CONFIG
from vlmforge.errors import SourceError
from vlmforge.families.registry import families
from vlmforge.source.settings import model_config

VL = families()["Qwen2VLForConditionalGeneration"]
PLAIN = families()["Qwen2ForCausalLM"]


def changed(**settings: Any) -> dict[str, Any]:
    """The flat configuration of the tiny checkpoint with other settings."""
    return {**copy.deepcopy(CONFIG), **settings}


def nested(part: str, **settings: Any) -> dict[str, Any]:
    """The configuration as transformers 5 writes it, with other settings in a part."""
    document: dict[str, Any] = model_config(VL, changed()).to_dict()
    document[part] |= settings
    return document


def rope(kind: str, **more: Any) -> dict[str, Any]:
    """Settings of RoPE in the newer spelling."""
    return {"rope_type": kind, "rope_theta": 1e4, "mrope_section": [2, 3, 3]} | more


def test_every_part_is_float32() -> None:
    document = nested("vision_config", dtype="bfloat16")
    document["text_config"]["dtype"] = "float16"
    config = model_config(VL, document)
    for part in (config, config.text_config, config.vision_config):
        assert str(part.dtype).removeprefix("torch.") == "float32"


@pytest.mark.parametrize(
    ("document", "named"),
    [
        (changed(use_sliding_window=True, max_window_layers=1), "text_config.layer_types"),
        (nested("text_config", layer_types=["sliding_attention"] * 3), "text_config.layer_types"),
        (nested("text_config", rope_parameters=rope("dynamic", factor=4.0)), "rope_type"),
        (nested("text_config", rope_parameters=rope("longrope", factor=4.0)), "longrope"),
        (changed(hidden_act="relu"), "text_config.hidden_act"),
        (nested("vision_config", hidden_act="gelu_new"), "vision_config.hidden_act"),
        (nested("vision_config", in_channels=4), "vision_config.in_channels"),
        (nested("vision_config", patch_size=[14, 14]), "vision_config.patch_size"),
        (nested("vision_config", mlp_ratio=3.5), "mlp_ratio"),
        (nested("text_config", rope_parameters=rope("default", partial_rotary_factor=0.5)), "part"),
        (changed(is_encoder_decoder=True), "is_encoder_decoder"),
        (changed(transformers_weights="other.safetensors"), "transformers_weights"),
        (changed(hidden_size="96"), "hidden_size"),
        (changed(vision_config=[]), "vision_config"),
        (changed(vocab_size=None), "vocab_size"),
        (changed(rms_norm_eps=float("nan")), "rms_norm_eps"),
        (changed(rms_norm_eps=-1e-6), "rms_norm_eps"),
        (changed(image_token_id=-1), "image_token_id"),
        (changed(image_token_id=2**32), "image_token_id"),
        (changed(num_key_value_heads=4), "num_key_value_heads"),
        (changed(rope_scaling={"type": "mrope", "mrope_section": ["2", 3, 3]}), "mrope_section"),
        (changed(rope_scaling={"type": "mrope", "mrope_section": 8}), "mrope_section"),
        (nested("vision_config", num_heads=5), "vision_config.num_heads"),
    ],
)
def test_what_is_not_honoured_is_refused_by_name(document: dict[str, Any], named: str) -> None:
    with pytest.raises(SourceError, match=named):
        model_config(VL, document, "config.json")


@pytest.mark.parametrize("kind", ["dynamic", "longrope"])
def test_a_plain_decoder_is_judged_alike(kind: str) -> None:
    asked = {"rope_type": kind, "factor": 4.0, "rope_theta": 1e4}
    with pytest.raises(SourceError, match=kind):
        model_config(PLAIN, {**DECODER_CONFIG, "rope_scaling": asked})


@pytest.mark.parametrize("kind", ["linear", "yarn"])
def test_scaled_rope_is_honoured(kind: str) -> None:
    document = nested("text_config", rope_parameters=rope(kind, factor=4.0))
    assert model_config(VL, document).text_config.rope_parameters["factor"] == 4.0


def test_an_unknown_setting_is_named(caplog: pytest.LogCaptureFixture) -> None:
    document = nested("vision_config", window_size=112)
    document["text_config"]["rope_parameters"]["twist"] = 1
    with caplog.at_level(logging.WARNING):
        model_config(VL, document | {"surprise": 1}, "config.json")
    for name in ("surprise", "vision_config.window_size", "text_config.rope_parameters.twist"):
        assert name in caplog.text


def test_known_settings_are_not_named(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        model_config(VL, changed(), "config.json")
        model_config(VL, model_config(VL, changed()).to_dict(), "config.json")
        model_config(VL, changed(_model_name_or_path="somewhere"), "config.json")
    assert "nobody knows" not in caplog.text


def test_what_others_left_at_the_root_is_not_read() -> None:
    document = nested("text_config") | {
        "hidden_act": "relu",
        "layer_types": ["sliding_attention"],
        "rope_scaling": {"rope_type": "dynamic", "factor": 2.0},
        "vocab_size": 7,
    }
    assert model_config(VL, document).text_config.vocab_size == CONFIG["vocab_size"]


@pytest.mark.parametrize(
    ("document", "named"),
    [
        (nested("text_config", head_dim=24), "do not fill a hidden size of 96"),
        (nested("text_config", rope_parameters=rope("default", mrope_section=[2, 3])), "mrope_sec"),
        (
            nested("text_config", rope_parameters=rope("default", mrope_section=[2, 3, 4])),
            "mrope_section",
        ),
        (nested("text_config", is_causal=False), "text_config.is_causal"),
        (nested("vision_config", is_causal=True), "vision_config.is_causal"),
        (changed(fusion_config={"mode": "all"}), "fusion_config"),
    ],
)
def test_what_does_not_fit_together_is_refused(document: dict[str, Any], named: str) -> None:
    with pytest.raises(SourceError, match=named):
        model_config(VL, document, "config.json")
