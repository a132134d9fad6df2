"""Before and after each transformation, as text, and the node named where one cannot apply."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from tests.graphs import captured
from vlmforge.errors import GraphError
from vlmforge.graph.core import Graph, Node, Weight
from vlmforge.graph.text import to_text
from vlmforge.transform.blocks import gated_mlps, key_paths, value_paths
from vlmforge.transform.hadamard import random_rotation
from vlmforge.transform.passes.centering import centre_residual
from vlmforge.transform.passes.gated_rotation import rotate_gated
from vlmforge.transform.passes.head_rotation import rotate_head
from vlmforge.transform.passes.norm_folding import fold_norms
from vlmforge.transform.passes.norm_scaling import norm_channels, scale_norms
from vlmforge.transform.passes.residual_rotation import rotate_residual
from vlmforge.transform.passes.untying import untie
from vlmforge.transform.passes.value_rotation import random_value_rotations, rotate_values


def changes(before: Graph, after: Graph) -> list[str]:
    """The lines that differ, ``-`` before and ``+`` after."""
    lines = difflib.ndiff(to_text(before).splitlines(), to_text(after).splitlines())
    return [line[0] + line[3:] for line in lines if line[0] in "-+"]


def test_norm_folding_gives_its_bias_to_the_product(tiny_checkpoint: Path) -> None:
    graph = captured(tiny_checkpoint)[2]
    changed = changes(graph, fold_norms(graph))
    norm = "model_merger_ln_q: [256, 64] = layer_norm(model_blocks_1/add_1, "
    assert f"- {norm}weight=[64], bias=[64], eps=1e-06)" in changed
    assert f"+ {norm}eps=1e-06)" in changed


def test_centring_makes_layer_norms_rms_norms(tiny_checkpoint: Path) -> None:
    graph = fold_norms(captured(tiny_checkpoint)[2])
    changed = changes(graph, centre_residual(graph))
    assert len(changed) == 2 * 5
    line = "model_blocks_0_norm1: [256, 64] = {}_norm(model_patch_embed, eps=1e-06)"
    assert "- " + line.format("layer") in changed
    assert "+ " + line.format("rms") in changed


def test_centring_leaves_a_text_model_alone(tiny_checkpoint: Path) -> None:
    graph = captured(tiny_checkpoint)[1]
    assert centre_residual(graph) is graph


def test_norm_scaling_gives_norms_a_gain(tiny_checkpoint: Path) -> None:
    graph = fold_norms(captured(tiny_checkpoint)[1])
    scales = {name: torch.ones(96) for name in norm_channels(graph)}
    changed = changes(graph, scale_norms(graph, scales))
    assert len(changed) == 2 * 7
    line = "model_norm: [logits, 96] = rms_norm(model_layers_2/add_1, {}eps=1e-06)"
    assert "- " + line.format("") in changed
    assert "+ " + line.format("weight=[96], ") in changed


def test_gated_rotation_mixes_the_largest_blocks_that_fit(tiny_checkpoint: Path) -> None:
    graph = captured(tiny_checkpoint)[1]
    changed = changes(graph, rotate_gated(graph, 256))
    assert len(changed) == 3 * 3
    mixed = "model_layers_0_mlp/hadamard"
    assert f"+ {mixed}: [seq, 160] = hadamard(model_layers_0_mlp, block=32)" in changed
    down = "model_layers_0_mlp_down_proj: [seq, 96] = linear({}, weight=[96, 160])"
    assert "- " + down.format("model_layers_0_mlp") in changed
    assert "+ " + down.format(mixed) in changed
    assert any(line.endswith("block=16)") for line in changes(graph, rotate_gated(graph, 16)))


def test_gated_rotation_leaves_widths_without_whole_blocks(tiny_checkpoint: Path) -> None:
    graph = captured(tiny_checkpoint)[1]
    assert rotate_gated(graph, 8).nodes == graph.nodes


def test_other_rewrites_change_weights_only(tiny_checkpoint: Path) -> None:
    _, language, vision = captured(tiny_checkpoint)
    prepared = fold_norms(language)
    assert changes(prepared, rotate_residual(prepared, random_rotation(96, 0))) == []
    assert changes(language, rotate_values(language, random_value_rotations(language, 0))) == []
    assert changes(vision, rotate_head(vision, random_rotation(96, 0))) == []


def test_untying_copies_shared_weights(tiny_checkpoint: Path) -> None:
    graph = captured(tiny_checkpoint)[1]
    up, gate = (graph.nodes[f"model_layers_0_mlp_{name}_proj"] for name in ("up", "gate"))
    tied = with_node(graph, replace(up, weights=gate.weights))
    result = untie(tied)
    names = [result.nodes[node.name].weights["weight"] for node in (up, gate)]
    assert len(set(names)) == 2
    loaded = [result.weights[name].load() for name in names]
    assert torch.equal(loaded[0], loaded[1])


def with_node(graph: Graph, *nodes: Node) -> Graph:
    """The graph with a node replaced, or appended."""
    changed = {**graph.nodes, **{node.name: node for node in nodes}}
    return graph.with_nodes(changed.values(), {})


def extra_reader(graph: Graph, name: str) -> Graph:
    """The graph in which a GELU reads the value as well."""
    return with_node(graph, Node("spy", "gelu", (name,), graph.value(name).shape))


def r1(graph: Graph) -> object:
    return rotate_residual(graph, random_rotation(96, 0))


@pytest.mark.parametrize(
    ("spied", "rule", "where"),
    [
        ("model_layers_0_self_attn_v_proj", value_paths, "model_layers_0_self_attn_v_proj"),
        ("model_layers_1_self_attn_attention", value_paths, "model_layers_1_self_attn_attention"),
        ("model_layers_0_self_attn_k_proj", key_paths, "model_layers_0_self_attn_k_proj"),
        ("model_layers_0_self_attn_q_rope", key_paths, "model_layers_0_self_attn_q_rope"),
        ("model_layers_2_mlp_up_proj", gated_mlps, "model_layers_2_mlp_up_proj"),
        ("model_layers_2_mlp", gated_mlps, "model_layers_2_mlp"),
        ("model_norm", norm_channels, "spy"),
        ("model_norm", fold_norms, "spy"),
        ("model_layers_0/add", r1, "spy"),
        ("model_layers_0_mlp_down_proj", r1, "model_layers_0_mlp_down_proj"),
    ],
)
def test_a_second_reader_is_named(
    tiny_checkpoint: Path, spied: str, rule: Callable[[Graph], object], where: str
) -> None:
    graph = captured(tiny_checkpoint)[1]
    graph = graph if rule in (fold_norms, norm_channels) else fold_norms(graph)
    with pytest.raises(GraphError) as caught:
        rule(extra_reader(graph, spied))
    assert caught.value.where == where


def test_r1_refuses_norms_with_weights(tiny_checkpoint: Path) -> None:
    graph = captured(tiny_checkpoint)[1]
    with pytest.raises(GraphError, match="fold norms first"):
        rotate_residual(graph, random_rotation(96, 0))


def test_centring_refuses_norms_with_weights(tiny_checkpoint: Path) -> None:
    with pytest.raises(GraphError, match="fold norms first") as caught:
        centre_residual(captured(tiny_checkpoint)[2])
    assert caught.value.where == "model_blocks_0_norm1"


def test_centring_refuses_a_stream_from_outside(tiny_checkpoint: Path) -> None:
    graph = fold_norms(captured(tiny_checkpoint)[1])
    norms = [replace(n, op="layer_norm") for n in graph.nodes.values() if n.op == "rms_norm"]
    with pytest.raises(GraphError, match="no product of this graph writes") as caught:
        centre_residual(with_node(graph, *norms))
    assert caught.value.where == "inputs_embeds"


def test_head_rotation_refuses_other_outputs(tiny_checkpoint: Path) -> None:
    graph = captured(tiny_checkpoint)[2]
    spied = replace(extra_reader(graph, "model_merger_fc2"), outputs=("spy",))
    with pytest.raises(GraphError, match="not a product's"):
        rotate_head(spied, random_rotation(96, 0))


def test_weights_stay_lazy(tiny_checkpoint: Path) -> None:
    graph = captured(tiny_checkpoint)[1]

    def read(start: int, stop: int) -> torch.Tensor:
        raise AssertionError("a transformation read a weight")

    unread = {name: Weight(w.shape, read) for name, w in graph.weights.items()}
    prepared = fold_norms(graph.with_weights(unread))
    rotate_residual(prepared, random_rotation(96, 0))
    rotate_values(prepared, random_value_rotations(prepared, 0))
