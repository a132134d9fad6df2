"""A transformer is cut into its layers."""

from __future__ import annotations

from pathlib import Path

from tests.graphs import captured
from vlmforge.graph.layers import layers


def test_layers_of_a_decoder_and_an_encoder(tiny_checkpoint: Path) -> None:
    for graph in captured(tiny_checkpoint)[1:]:
        found = layers(graph)
        attentions = [node for node in graph.nodes.values() if node.op == "attention"]
        assert len(found) == len(attentions) > 1
        for nodes, attention in zip(found, attentions, strict=True):
            assert nodes[0].op in ("rms_norm", "layer_norm", "gather_rows")
            assert [node for node in nodes if node.op == "attention"] == [attention]
            assert nodes[-1].op == "add"
            assert sum(node.op == "add" for node in nodes) == 2


def test_layers_follow_each_other(tiny_checkpoint: Path) -> None:
    graph = captured(tiny_checkpoint)[1]
    found = [node.name for nodes in layers(graph) for node in nodes]
    names = list(graph.nodes)
    start = names.index(found[0])
    assert found == names[start : start + len(found)]


def test_a_graph_without_a_stream_has_none(tiny_checkpoint: Path) -> None:
    graph = captured(tiny_checkpoint)[1]
    first = list(graph.nodes.values())[:2]
    assert layers(graph.with_nodes(first, {})) == []
