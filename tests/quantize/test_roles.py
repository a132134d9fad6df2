"""Roles of products, and the formats that follow from them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.graphs import captured
from vlmforge.config import CompileConfig
from vlmforge.errors import ConfigError
from vlmforge.quantize.roles import product_roles
from vlmforge.quantize.weights.formats import WeightFormat
from vlmforge.quantize.weights.rounding import weight_formats


def configured(**transformer: object) -> CompileConfig:
    return CompileConfig.parse({"bit": {"transformer": transformer}})


def test_roles_of_the_decoder(tiny_checkpoint: Path) -> None:
    roles = product_roles(captured(tiny_checkpoint)[1])
    last = "model_layers_2_"
    assert roles[f"{last}self_attn_q_proj"] == "query"
    assert roles[f"{last}self_attn_k_proj"] == "key"
    assert roles[f"{last}self_attn_v_proj"] == "value"
    assert roles[f"{last}self_attn_o_proj"] == "output"
    for name in ("gate", "up", "down"):
        assert roles[f"{last}mlp_{name}_proj"] == "ffn"
    assert roles["lm_head"] == "head"
    assert len(roles) == 3 * 7 + 1


def test_roles_of_the_encoder(tiny_checkpoint: Path) -> None:
    roles = product_roles(captured(tiny_checkpoint)[2])
    assert roles["model_blocks_0_attn_q"] == "query"
    assert roles["model_blocks_1_attn_k"] == "key"
    assert roles["model_blocks_1_attn_v"] == "value"
    assert roles["model_blocks_1_attn_proj"] == "output"
    assert roles["model_blocks_0_mlp_fc2"] == roles["model_merger_fc1"] == "ffn"
    assert roles["model_patch_embed"] == "ffn"
    assert roles["model_merger_fc2"] == "head"


def test_bits_follow_the_role(tiny_checkpoint: Path) -> None:
    graph = captured(tiny_checkpoint)[1]
    config = configured(weight={"value": 4, "ffn": 4}, weightGroup=32)
    formats = weight_formats(graph, config, ["model_layers_1_mlp_up_proj"])
    narrow = WeightFormat(4, 32, True)
    assert formats["model_layers_0_self_attn_v_proj"] == narrow
    assert formats["model_layers_1_mlp_gate_proj"] == narrow
    assert formats["model_layers_1_mlp_up_proj"] == WeightFormat(8)
    assert formats["model_layers_0_self_attn_o_proj"] == WeightFormat(8)
    assert formats["lm_head"] == WeightFormat(8)


def test_searched_roles(tiny_checkpoint: Path) -> None:
    graph = captured(tiny_checkpoint)[1]
    bits = {"transformer": {"weight": {"output": 4, "ffn": 4}, "weightGroup": None}}
    search = {"transformer": {"out": False}}
    config = CompileConfig.parse({"bit": bits, "searchWeightScale": search})
    formats = weight_formats(graph, config, [])
    assert formats["model_layers_0_self_attn_o_proj"] == WeightFormat(4, None, False)
    assert formats["model_layers_0_mlp_up_proj"] == WeightFormat(4, None, True)


def test_the_patch_embedding_stays_int8(tiny_checkpoint: Path) -> None:
    formats = weight_formats(captured(tiny_checkpoint)[2], configured(weight={"ffn": 4}), [])
    assert formats["model_patch_embed"] == WeightFormat(8)
    assert formats["model_blocks_0_mlp_fc1"].bits == 4


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("model_layers_0_mlp_up_prj", "did you mean 'model_layers_0_mlp_up_proj'"),
        ("model_layers_0_input_layernorm", "it is no product"),
    ],
)
def test_impossible_overrides_are_refused(tiny_checkpoint: Path, name: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        weight_formats(captured(tiny_checkpoint)[1], CompileConfig(), [name])
