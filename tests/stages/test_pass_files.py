"""Passes of samples that are interrupted go on where they were, to the same statistics."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import is_dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.graphs import captured
from tests.quantize.weights.test_kept import Interrupted
from tests.quantize.weights.test_rounding import loaders
from vlmforge.config import BitConfig, CompileConfig
from vlmforge.formats import kept_file
from vlmforge.formats.kept_file import KeptFile
from vlmforge.formats.mblt import write_mblt
from vlmforge.formats.rotation import Rotation
from vlmforge.graph import stream
from vlmforge.graph.core import Graph
from vlmforge.progress import Progress
from vlmforge.quantize.observe.clipping import Clipping
from vlmforge.stages.pass_files import PassFiles
from vlmforge.transform.choose.statistics import collect

Pass = Callable[[Graph, KeptFile | None, Progress | None], Any]


def observed(graph: Graph, kept: KeptFile | None, progress: Progress | None) -> Any:
    clipping = Clipping.of(graph, CompileConfig())
    return clipping.observe(graph, loaders(graph, 3), "cpu", progress, kept)


def measured(graph: Graph, kept: KeptFile | None, progress: Progress | None) -> Any:
    rows = [node.name for node in graph.nodes.values() if node.op == "linear"]
    return collect(graph, loaders(graph, 3), rows, True, "cpu", progress, kept)


def same(left: Any, right: Any) -> bool:
    if is_dataclass(left):
        return type(left) is type(right) and same(vars(left), vars(right))
    if isinstance(left, dict):
        return list(left) == list(right) and all(same(left[key], right[key]) for key in left)
    if isinstance(left, list):
        return len(left) == len(right) and all(map(same, left, right))
    if isinstance(left, torch.Tensor):
        return left.dtype == right.dtype and torch.equal(left, right)
    if isinstance(left, np.ndarray):
        return left.dtype == right.dtype and np.array_equal(left, right)
    return bool(left == right)


@pytest.fixture(autouse=True)
def many_segments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "SEGMENT_BYTES", 1)
    monkeypatch.setattr(kept_file, "SHARE", float("inf"))


@pytest.mark.parametrize("made", [observed, measured])
@pytest.mark.parametrize("component", [1, 2])
def test_a_pass_goes_on(tiny_checkpoint: Path, tmp_path: Path, made: Pass, component: int) -> None:
    graph, done = captured(tiny_checkpoint)[component], list[int]()
    wanted, file = made(graph, None, None), KeptFile(tmp_path / "a.kept", "digest")

    def killed(_: str, segment: int, total: int) -> None:
        done.append(segment)
        if segment % 5 == 0 and segment < total:
            raise Interrupted

    while not done or len(done) % 5 == 0:
        try:
            found = made(graph, file, killed)
        except Interrupted:
            continue
        break
    assert same(found, wanted)
    assert done == list(range(1, len(done) + 1)), "no segment ran twice"
    assert same(made(graph, file, killed), wanted) and len(done) == done[-1], "nothing runs again"


def test_passes_of_something_else_are_not_taken(tiny_checkpoint: Path, tmp_path: Path) -> None:
    graph, other = tmp_path / "a.mblt", tmp_path / "b.mblt"
    write_mblt(captured(tiny_checkpoint)[1], graph)
    write_mblt(captured(tiny_checkpoint)[2], other)
    config, overrides = CompileConfig(), BitConfig.LayerOverrides()
    wide = BitConfig.LayerOverrides(activation_16bits=("a",))
    passes = [
        PassFiles.of(tmp_path, graph, "samples", config, overrides),
        PassFiles.of(tmp_path, other, "samples", config, overrides),
        PassFiles.of(tmp_path, graph, "others", config, overrides),
        PassFiles.of(tmp_path, graph, "samples", CompileConfig(seed=1), overrides),
        PassFiles.of(tmp_path, graph, "samples", config, wide),
    ]
    turns = [None, *(Rotation.of(torch.eye(4).double().roll(by, 0)) for by in (0, 1))]
    files = [each.file(name, turn) for each in passes for name in ("a", "b") for turn in turns]
    assert len({file.digest for file in files}) == len(files)
    again = PassFiles.of(tmp_path, graph, "samples", config, overrides)
    assert again.file("a", None) == files[0]
