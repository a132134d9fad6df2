"""Held samples: as many as memory and time allow, spread over all."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.graphs import captured, language_feeds
from vlmforge.graph.core import Graph
from vlmforge.graph.stream import Feeds
from vlmforge.quantize.observe import held
from vlmforge.quantize.observe.held import held_at_once


def samples_of(graph: Graph, *lengths: int) -> list[Feeds]:
    feeds = [language_feeds(graph, length, seed) for seed, length in enumerate(lengths)]
    return [lambda f=f: f for f in feeds]  # type: ignore[misc]


@pytest.mark.parametrize(
    ("rows", "wanted"),
    [(60, [0, 1, 2, 3, 4, 5]), (59, [0, 1, 2, 3, 4]), (30, [0, 2, 4]), (1, [0])],
)
def test_samples_are_spread_over_all(
    tiny_checkpoint: Path, monkeypatch: pytest.MonkeyPatch, rows: int, wanted: list[int]
) -> None:
    graph = captured(tiny_checkpoint)[1]
    samples = samples_of(graph, 5, 15, 10, 10, 10, 10)
    monkeypatch.setattr(held, "ROWS", rows)
    assert [samples.index(each) for each in held_at_once(graph, samples)] == wanted
