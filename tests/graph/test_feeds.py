"""Feeds of one sample: how many rows, and the first of them."""

from __future__ import annotations

from pathlib import Path

from tests.graphs import captured, language_feeds, vision_feeds
from vlmforge.graph.feeds import row_count, shortened

ROWS = 16


def test_rows_are_tokens_or_fixed(tiny_checkpoint: Path) -> None:
    _, language, vision = captured(tiny_checkpoint)
    assert row_count(language, language_feeds(language, 24)) == 24
    assert row_count(vision, vision_feeds(0)) is None


def test_long_samples_are_shortened(tiny_checkpoint: Path) -> None:
    graph = captured(tiny_checkpoint)[1]
    short = shortened(graph, language_feeds(graph, ROWS + 30), ROWS)
    assert short["inputs_embeds"].shape == (1, ROWS, 96)
    assert short["position_ids"].shape == (3, ROWS)
    assert short["logits_index"].max() == ROWS - 1
