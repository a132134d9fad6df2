"""Transformations step aside where they do not apply, and say so; what is named must apply."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.graphs import captured, language_feeds, relative_error
from vlmforge.config import CompileConfig
from vlmforge.errors import GraphError
from vlmforge.graph.core import Graph, Node, Weight
from vlmforge.graph.evaluate import evaluate
from vlmforge.graph.residual import stream_width
from vlmforge.quantize.roles import product_roles
from vlmforge.transform.choose.rotations import choose_rotations
from vlmforge.transform.choose.scales import scale
from vlmforge.transform.hadamard import random_rotation
from vlmforge.transform.order import preparation, residual_turns, rotations, transform
from vlmforge.transform.precision import Precision
from vlmforge.transform.settings import Settings

NORMED = ("q_proj", "k_proj")


@pytest.fixture(scope="module")
def normed(tiny_checkpoint: Path) -> Graph:
    """A decoder whose queries and keys are normalized, with gains, between product and RoPE."""
    graph = captured(tiny_checkpoint)[1]
    nodes: list[Node] = []
    weights: dict[str, Weight] = {}
    renamed: dict[str, str] = {}
    for node in graph.nodes.values():
        nodes.append(replace(node, inputs=tuple(renamed.get(n, n) for n in node.inputs)))
        if node.name.endswith(NORMED):
            name, gain = f"{node.name}_norm", f"{node.name}.gain"
            width = int(node.shape[-1])
            weights[gain] = Weight.of(1 + 0.1 * torch.arange(width) / width)
            norm = {"weight": gain}
            nodes.append(Node(name, "rms_norm", (node.name,), node.shape, norm, {"eps": 1e-6}))
            renamed[node.name] = name
    return graph.with_nodes(nodes, weights)


def asked(**transformation: Any) -> CompileConfig:
    return CompileConfig.parse({"equivalentTransformation": transformation})


def transformed(graph: Graph, config: CompileConfig) -> tuple[Graph, torch.Tensor | None]:
    """The graph after all that a configuration asks for, and its R1."""
    wanted, feeds = config.equivalent_transformation, language_feeds(graph)
    graph = transform(graph, preparation(wanted))
    graph, turned = residual_turns(graph, wanted)
    settings = Settings(wanted, Precision({}, {}, {}))
    chosen = choose_rotations(graph, [lambda: dict(feeds)], settings, turned)
    graph = transform(graph, rotations(wanted, chosen.residual, chosen.values, None))
    return scale(graph, [lambda: turned_feeds(feeds, chosen.residual)], settings), chosen.residual


def turned_feeds(feeds: dict[str, Any], rotation: torch.Tensor | None) -> dict[str, Any]:
    if rotation is None:
        return dict(feeds)
    return {**feeds, "inputs_embeds": (feeds["inputs_embeds"].double() @ rotation).float()}


def test_normed_queries_keep_their_gains_and_nothing_else_changes(normed: Graph) -> None:
    result, rotation = transformed(normed, CompileConfig())
    assert rotation is not None and rotation.shape == (stream_width(normed),) * 2
    kept = [node.name for node in result.nodes.values() if node.op == "rms_norm" and node.weights]
    assert kept == [n for n in result.nodes if n.endswith("_norm") and "self_attn" in n]
    aside = result.meta["aside"]
    assert set(aside) == {"norm folding"}
    assert "rope is not a product" in aside["norm folding"]["model_layers_0_self_attn_q_rope"]
    feeds = language_feeds(normed)
    want = evaluate(normed, feeds)["lm_head"]
    assert relative_error(evaluate(result, turned_feeds(feeds, rotation))["lm_head"], want) < 1e-5


def test_what_is_named_must_apply(normed: Graph) -> None:
    with pytest.raises(
        GraphError, match=r"QkRotation does not apply(.|\n)*by default it steps aside"
    ):
        transformed(normed, asked(QkRotation={"apply": True}))


def test_what_is_not_named_steps_aside(normed: Graph) -> None:
    config = asked(QkRotation={"apply": True}).by_default()
    result, _ = transformed(normed, config)
    assert len(result.meta["aside"]["QkRotation"]) == 3 * 1


@pytest.mark.parametrize("name", ["QK", "NormConv"])
def test_norms_of_queries_and_keys_are_in_no_way(normed: Graph, name: str) -> None:
    result, rotation = transformed(normed, asked(**{name: {"apply": True, "learn": False}}))
    feeds = language_feeds(normed)
    want = evaluate(normed, feeds)["lm_head"]
    assert relative_error(evaluate(result, turned_feeds(feeds, rotation))["lm_head"], want) < 2e-5
    assert name not in result.meta.get("aside", {})


def test_a_stream_that_cannot_be_turned_is_left(tiny_checkpoint: Path) -> None:
    graph = captured(tiny_checkpoint)[1]
    last = graph.nodes["model_norm"].inputs[0]
    received = replace(graph, outputs=(*graph.outputs, last))
    result, rotation = transformed(received, CompileConfig())
    assert rotation is None and "R1" in result.meta["aside"]
    with pytest.raises(GraphError, match="the caller receives it"):
        transformed(received, asked(SpinR1={"apply": True}))


def test_roles_look_through_norms(normed: Graph) -> None:
    roles = product_roles(normed)
    assert roles["model_layers_1_self_attn_q_proj"] == "query"
    assert roles["model_layers_1_self_attn_k_proj"] == "key"


def test_an_unknown_role_is_an_error(tiny_checkpoint: Path) -> None:
    graph = captured(tiny_checkpoint)[1]
    name = "model_layers_1_self_attn_v_proj"
    product = graph.nodes[name]
    bent = Node(f"{name}_bent", "silu", (name,), product.shape)
    reader = graph.nodes["model_layers_1_self_attn_attention"]
    inputs = tuple(bent.name if n == name else n for n in reader.inputs)
    nodes = []
    for node in graph.nodes.values():
        nodes += [replace(node, inputs=inputs) if node.name == reader.name else node]
        nodes += [bent] if node.name == name else []
    with pytest.raises(GraphError, match=r"its value comes from .*silu.*unknown"):
        product_roles(graph.with_nodes(nodes, {}))


def test_a_rotation_may_be_given(tiny_checkpoint: Path) -> None:
    graph = captured(tiny_checkpoint)[2]
    wanted = CompileConfig().equivalent_transformation
    prepared = transform(graph, preparation(wanted))
    head = random_rotation(96, 7)
    result = transform(prepared, rotations(wanted, None, None, head))
    assert "aside" not in result.meta
