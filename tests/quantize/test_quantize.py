"""Codes, ranges and scales of the integer program."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.graphs import captured, language_feeds
from vlmforge.errors import ConfigError
from vlmforge.graph import stream as streaming
from vlmforge.graph.core import Node
from vlmforge.graph.evaluate import Values, apply, traverse
from vlmforge.quantize.observe.ranges import Range, observe
from vlmforge.quantize.scheme import assign_codes


def test_product_inputs_are_int8_and_the_rest_int16(tiny_checkpoint: Path) -> None:
    _, graph, _ = captured(tiny_checkpoint)
    codes = assign_codes(graph, ())
    assert codes["model_layers_0_input_layernorm"] == "int8"
    assert codes["model_layers_2_self_attn/gather_rows"] == "int8"
    assert codes["model_layers_0_self_attn_k_rope"] == "int8"
    assert codes["model_layers_0_self_attn_v_proj"] == "int8"
    assert codes["model_layers_0_mlp"] == "int16"
    assert codes["model_layers_0/add"] == "int16"
    assert codes["model_rotary_emb"] == codes["lm_head"] == "float32"
    assert codes["position_ids"] == "int64"


def test_overrides_widen_a_products_input_or_a_nodes_output(tiny_checkpoint: Path) -> None:
    _, graph, _ = captured(tiny_checkpoint)
    codes = assign_codes(graph, ["model_layers_0_mlp_up_proj", "model_layers_1_input_layernorm"])
    assert codes["model_layers_0_post_attention_layernorm"] == "int16"
    assert codes["model_layers_1_input_layernorm"] == "int16"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("model_layers_0_mlp_up_prj", "did you mean 'model_layers_0_mlp_up_proj'"),
        ("model_layers_0_self_attn_q_rope", "attention takes its operands as int8"),
    ],
)
def test_impossible_overrides_are_refused(tiny_checkpoint: Path, name: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        assign_codes(captured(tiny_checkpoint)[1], [name])


def test_ranges_cover_all_samples(tiny_checkpoint: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _, graph, _ = captured(tiny_checkpoint)
    monkeypatch.setattr(streaming, "SEGMENT_BYTES", 40_000)
    feeds = [language_feeds(graph, 12, seed) for seed in range(3)]
    ranges = observe(graph, [lambda f=f: f for f in feeds])
    seen: dict[str, list[torch.Tensor]] = {}

    def value_of(node: Node, values: Values) -> torch.Tensor:
        value = apply(graph, node, values, rounded=True)
        seen.setdefault(node.name, []).append(value)
        return value

    for sample in feeds:
        traverse(graph, sample, value_of)
    assert "lm_head" not in ranges
    for name in ("model_layers_0_mlp", "model_layers_2/add_1", "model_layers_1_self_attn_k_rope"):
        stacked = torch.cat(seen[name])
        assert ranges[name].bound() == pytest.approx(stacked.abs().max().item(), rel=1e-5)
        assert torch.allclose(ranges[name].channels, stacked.abs().amax(0), rtol=1e-4)


@given(st.integers(10, 2000), st.integers(0, 1000), st.sampled_from([0.9, 0.99, 0.999]))
def test_percentiles_are_exact(size: int, seed: int, percentile: float) -> None:
    values = torch.randn(size, generator=torch.Generator().manual_seed(seed))
    observed = Range()
    for part in values.split(300):
        observed.update(part[:, None], 1.0)
    bound = observed.bound(percentile)
    assert (values.abs() > bound).sum() <= int(size * (1 - percentile) + 1e-9)
    assert bound in values.abs()
