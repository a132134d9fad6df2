"""The weight that was read last stays in memory."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from tests.graphs import captured
from vlmforge.graph import recent
from vlmforge.graph.core import Graph, Weight
from vlmforge.graph.recent import with_recent


def counted(graph: Graph) -> tuple[Graph, list[tuple[str, int, int]]]:
    """The graph, and a list of what is read of its weights."""
    reads: list[tuple[str, int, int]] = []

    def of(name: str, weight: Weight) -> Weight:
        def read(start: int, stop: int) -> Tensor:
            reads.append((name, start, stop))
            return weight.read(start, stop)

        return Weight(weight.shape, read, weight.dtype)

    return graph.with_weights({n: of(n, w) for n, w in graph.weights.items()}), reads


def test_a_weight_is_computed_once_until_another_is_read(tiny_checkpoint: Path) -> None:
    graph, reads = counted(captured(tiny_checkpoint)[1])
    kept = with_recent(graph)
    first, second = [name for name in graph.weights if name.endswith("_proj.weight")][:2]
    rows = graph.weights[first].shape[0]
    halves = [kept.weights[first].read(0, rows // 2), kept.weights[first].read(rows // 2, rows)]
    assert reads == [(first, 0, rows)]
    assert torch.equal(torch.cat(halves), graph.weights[first].load())
    kept.weights[second].load()
    reads.clear()
    kept.weights[first].load()
    assert reads == [(first, 0, rows)]


def test_what_a_reader_does_to_its_rows_is_its_own_affair(tiny_checkpoint: Path) -> None:
    graph = captured(tiny_checkpoint)[1]
    kept, name = with_recent(graph), next(iter(graph.weights))
    kept.weights[name].load().zero_()
    assert torch.equal(kept.weights[name].load(), graph.weights[name].load())


def test_large_weights_are_read_in_parts(
    tiny_checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recent, "LARGEST", 0)
    graph, reads = counted(captured(tiny_checkpoint)[1])
    name = next(name for name in graph.weights if name.endswith("_proj.weight"))
    with_recent(graph).weights[name].read(1, 3)
    assert reads == [(name, 1, 3)]
