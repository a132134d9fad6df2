"""Feeds of one sample: how many rows, and the first of them."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tests.graphs import (
    captured,
    language_feeds,
    merging_feeds,
    merging_graph,
    vision_feeds,
)
from vlmforge.graph.core import Graph, Node, Value
from vlmforge.graph.evaluate import evaluate
from vlmforge.graph.feeds import row_count, shortened
from vlmforge.graph.verify import verify

ROWS = 16


def test_rows_are_tokens_or_fixed(tiny_checkpoint: Path) -> None:
    _, language, vision = captured(tiny_checkpoint)
    assert row_count(language, language_feeds(language, 24)) == 24
    assert row_count(vision, vision_feeds(0)) == 256


def test_long_samples_are_shortened(tiny_checkpoint: Path) -> None:
    graph = captured(tiny_checkpoint)[1]
    short = shortened(graph, language_feeds(graph, ROWS + 30), ROWS)
    assert short["inputs_embeds"].shape == (1, ROWS, 96)
    assert short["position_ids"].shape == (3, ROWS)
    assert short["logits_index"].max() == ROWS - 1


@pytest.mark.parametrize("groups", [1, 3])
def test_rows_come_in_groups(groups: int) -> None:
    assert row_count(merging_graph(), merging_feeds(groups)) == 4 * groups


@pytest.mark.parametrize(("rows", "kept"), [(3, 4), (4, 4), (11, 8), (12, 12), (99, 20)])
def test_groups_are_not_cut(rows: int, kept: int) -> None:
    feeds = merging_feeds(5)
    short = shortened(merging_graph(), feeds, rows)
    assert torch.equal(short["patches"], feeds["patches"][:kept])
    assert torch.equal(short["position_ids"], feeds["position_ids"][:, :kept])


def ordering() -> Graph:
    """Groups in another order, and some of their patches."""
    inputs = (
        Value("patches", ("4*groups", 2)),
        Value("order", ("groups",), "int64"),
        Value("some", ("wanted",), "int64"),
    )
    nodes = (
        Node("merged", "reshape", ("patches",), ("groups", 8), attrs={"shape": ["groups", 8]}),
        Node("ordered", "gather_rows", ("merged", "order"), ("groups", 8)),
        Node("picked", "gather_rows", ("patches", "some"), ("wanted", 2)),
    )
    named = {node.name: node for node in nodes}
    graph = Graph("vision", {v.name: v for v in inputs}, named, ("ordered", "picked"), {})
    verify(graph)
    return graph


def test_indexes_of_a_short_sample_stay_within_it() -> None:
    feeds = {
        "patches": torch.arange(32.0).reshape(16, 2),
        "order": torch.tensor([3, 0, 2, 1]),
        "some": torch.tensor([15, 7, 0, 9]),
    }
    short = shortened(ordering(), feeds, 8)
    assert short["order"].tolist() == [1, 0]
    assert short["some"].tolist() == [7, 0]
    assert evaluate(ordering(), short)["picked"].tolist() == [[14.0, 15.0], [0.0, 1.0]]


def test_what_is_visible_in_a_short_sample_is_part_of_it() -> None:
    rows = ("4*groups", 2)
    inputs = (Value("x", rows), Value("visible", rows, "int64"))
    attrs = {"heads": 1, "kv_heads": 1, "head_dim": 2, "scale": 1.0, "causal": False, "cache": None}
    node = Node("y", "attention", ("x", "x", "x", "visible"), rows, attrs=attrs)
    graph = Graph("vision", {v.name: v for v in inputs}, {"y": node}, ("y",), {})
    verify(graph)
    visible = torch.tensor([[0, 12]] * 5 + [[5, 7]] * 2 + [[7, 12]] + [[9, 10]] * 4)
    short = shortened(graph, {"x": torch.ones(12, 2), "visible": visible}, 9)
    assert short["visible"].tolist() == [[0, 8]] * 5 + [[5, 7]] * 2 + [[7, 8]]
