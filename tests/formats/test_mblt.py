"""``.mblt``: graphs with lazily read weights, and documents that are no graph."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from vlmforge.errors import FormatError
from vlmforge.formats import mblt
from vlmforge.formats.container import Container, ContainerWriter
from vlmforge.formats.mblt import read_mblt, row_chunks, write_mblt
from vlmforge.graph.core import Graph, Node, Value, Weight
from vlmforge.graph.text import to_text
from vlmforge.graph.verify import verify

WEIGHT = torch.randn(7, 5, generator=torch.Generator().manual_seed(0))


def stored(tensor: torch.Tensor, dtype: str) -> Weight:
    values = tensor.to(getattr(torch, dtype)).float()
    return Weight(tuple(tensor.shape), lambda start, stop: values[start:stop], dtype)


def graph(dtype: str = "bfloat16") -> Graph:
    nodes = [
        Node(
            "rows", "reshape", ("inputs_embeds",), ("seq", 5), {}, {"shape": ["seq", 5]},
            module="model.rows",
        ),
        Node("fc", "linear", ("rows",), ("seq", 7), {"weight": "fc.weight", "bias": "fc.bias"}),
    ]  # fmt: skip
    return Graph(
        "language",
        {"inputs_embeds": Value("inputs_embeds", (1, "seq", 5))},
        {node.name: node for node in nodes},
        ("fc",),
        {"fc.weight": stored(WEIGHT, dtype), "fc.bias": stored(WEIGHT[:, 0], "float32")},
        {"model": "é/tiny", "hidden_size": 5, "image_size": [224, 224]},
    )


@pytest.mark.parametrize("dtype", ["bfloat16", "float16", "float32"])
def test_a_graph_reads_back(tmp_path: Path, dtype: str) -> None:
    write_mblt(graph(dtype), tmp_path / "a.mblt")
    read = read_mblt(tmp_path / "a.mblt")
    verify(read)
    assert to_text(read) == to_text(graph(dtype))
    assert (read.inputs, read.nodes, read.meta) == (graph().inputs, graph().nodes, graph().meta)
    for name, weight in graph(dtype).weights.items():
        assert read.weights[name].dtype == weight.dtype
        assert read.weights[name].shape == weight.shape
        assert torch.equal(read.weights[name].load(), weight.load())
    rows = read.weights["fc.weight"].read(2, 4)
    assert rows.dtype == torch.float32
    assert torch.equal(rows, graph(dtype).weights["fc.weight"].read(2, 4))


def test_bfloat16_takes_two_bytes(tmp_path: Path) -> None:
    write_mblt(graph(), tmp_path / "a.mblt")
    entry = Container.open(tmp_path / "a.mblt", "mblt").entries["fc.weight"]
    assert (entry.dtype, entry.size) == ("BF16", 7 * 5 * 2)


def test_rows_read_are_the_callers_own(tmp_path: Path) -> None:
    write_mblt(graph("float32"), tmp_path / "a.mblt")
    weight = read_mblt(tmp_path / "a.mblt").weights["fc.weight"]
    weight.read(0, 7).zero_()
    assert torch.equal(weight.load(), WEIGHT)


def test_weights_are_written_in_chunks_of_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_mblt(graph(), tmp_path / "whole.mblt")
    monkeypatch.setattr(mblt, "CHUNK", 3 * 5 * 4)
    asked = []

    def read(start: int, stop: int) -> torch.Tensor:
        asked.append((start, stop))
        return WEIGHT[start:stop]

    assert torch.equal(torch.cat(list(row_chunks(Weight((7, 5), read)))), WEIGHT)
    assert asked == [(0, 3), (3, 6), (6, 7)]
    write_mblt(graph(), tmp_path / "chunks.mblt")
    assert (tmp_path / "whole.mblt").read_bytes() == (tmp_path / "chunks.mblt").read_bytes()


def test_a_row_larger_than_a_chunk_is_read_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mblt, "CHUNK", 8)
    assert [len(rows) for rows in row_chunks(Weight.of(WEIGHT))] == [1] * 7


def test_progress_is_told(tmp_path: Path) -> None:
    told: list[tuple[str, int, int]] = []
    write_mblt(graph(), tmp_path / "a.mblt", lambda *facts: told.append(facts))
    assert told == [("writing a.mblt", 1, 2), ("writing a.mblt", 2, 2)]


def test_a_failing_weight_leaves_the_old_file(tmp_path: Path) -> None:
    def fail(start: int, stop: int) -> torch.Tensor:
        raise OSError("the disk is gone")

    path = tmp_path / "a.mblt"
    write_mblt(graph(), path)
    old = path.read_bytes()
    with pytest.raises(OSError, match="gone"):
        write_mblt(graph().with_weights({"fc.bias": Weight((7,), fail)}), path)
    assert path.read_bytes() == old
    assert list(tmp_path.iterdir()) == [path]


Change = Callable[[dict[str, Any]], Any]

MALFORMED: dict[str, tuple[Change, str]] = {
    "component": (lambda d: d.update(component="audio"), "'component' is malformed"),
    "unknown field": (lambda d: d.update(code="x"), "'code' is malformed"),
    "no nodes": (lambda d: d.pop("nodes"), "'nodes' is malformed"),
    "node of another type": (lambda d: d["nodes"].append(1), "'nodes.2' is malformed"),
    "unknown node field": (lambda d: d["nodes"][0].update(x=1), "'nodes.0.x' is malformed"),
    "boolean size": (lambda d: d["nodes"][1].update(shape=[True]), "nodes.1.shape.0"),
    "real size": (lambda d: d["nodes"][1].update(shape=[1.5]), "nodes.1.shape.0"),
    "inputs a string": (lambda d: d["nodes"][1].update(inputs="rows"), "nodes.1.inputs"),
    "input twice": (lambda d: d["inputs"].append(d["inputs"][0]), "an input is listed twice"),
    "node twice": (lambda d: d["nodes"].append(d["nodes"][1]), "'fc' is defined twice"),
    "node like input": (lambda d: d["nodes"][1].update(name="rows"), "'rows' is defined twice"),
    "unknown input": (lambda d: d["nodes"][1].update(inputs=["fc"]), "reads 'fc' before"),
    "unknown weight": (
        lambda d: d["nodes"][1]["weights"].update(bias="none"),
        "'fc' lacks the weight 'none'",
    ),
    "unused weight": (lambda d: d["nodes"][1]["weights"].pop("bias"), r"no node reads .*fc\.bias"),
    "unknown output": (lambda d: d.update(outputs=["none"]), "'none' is never produced"),
}


@pytest.mark.parametrize("case", MALFORMED)
def test_a_malformed_graph_is_refused(tmp_path: Path, case: str) -> None:
    change, message = MALFORMED[case]
    write_mblt(graph(), tmp_path / "a.mblt")
    file = Container.open(tmp_path / "a.mblt", "mblt")
    document = json.loads(json.dumps(file.document))
    change(document)
    with ContainerWriter(tmp_path / "b.mblt", "mblt") as writer:
        for name, entry in file.entries.items():
            writer.add_chunks(name, entry.dtype, entry.shape, [file.arrays[name]])
        writer.finish(document)
    with pytest.raises(FormatError, match=message):
        read_mblt(tmp_path / "b.mblt")


def test_a_weight_of_integers_is_refused(tmp_path: Path) -> None:
    write_mblt(graph(), tmp_path / "a.mblt")
    document = Container.open(tmp_path / "a.mblt", "mblt").document
    with ContainerWriter(tmp_path / "b.mblt", "mblt") as writer:
        for name in graph().weights:
            writer.add(name, WEIGHT.to(torch.int32).numpy())
        writer.finish(document)
    with pytest.raises(FormatError, match=r"is I32\[7, 5\], not an array of floats"):
        read_mblt(tmp_path / "b.mblt")
