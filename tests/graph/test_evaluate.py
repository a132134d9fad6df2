"""A graph of dynamic dimensions is the same function as one of fixed sizes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch

from tests.graphs import merging_feeds, merging_graph
from tests.memory import peak_growth
from vlmforge.dims import Shape, resolve
from vlmforge.errors import GraphError
from vlmforge.graph.core import Graph, Node, Value, Weight
from vlmforge.graph.evaluate import evaluate
from vlmforge.graph.verify import verify


def fixed(graph: Graph, sizes: dict[str, int]) -> Graph:
    """The graph with sizes in place of names."""

    def node_of(node: Node) -> Node:
        shape = resolve(node.shape, sizes)
        attrs = {**node.attrs, "shape": list(shape)} if node.op == "reshape" else node.attrs
        return replace(node, shape=shape, attrs=attrs)

    return replace(
        graph,
        inputs={n: replace(v, shape=resolve(v.shape, sizes)) for n, v in graph.inputs.items()},
        nodes={name: node_of(node) for name, node in graph.nodes.items()},
    )


@pytest.mark.parametrize("groups", [1, 5])
def test_names_stand_for_sizes(groups: int) -> None:
    graph, feeds = merging_graph(), merging_feeds(groups)
    same = fixed(graph, {"groups": groups})
    verify(graph)
    verify(same)
    assert torch.equal(evaluate(graph, feeds)["fc2"], evaluate(same, feeds)["fc2"])


@pytest.mark.parametrize("rows", [0, 4])
@pytest.mark.parametrize("shape", [("b", "a", 6), ("6*a", "b"), ("a", 1, "2*b", 3), ("3*b", "2*a")])
def test_several_names_in_a_reshape(shape: Shape, rows: int) -> None:
    node = Node("y", "reshape", ("x",), shape, attrs={"shape": list(shape)})
    graph = Graph("vision", {"x": Value("x", ("2*a", "3*b"))}, {"y": node}, ("y",), {})
    verify(graph)
    x = torch.arange(2.0 * rows * 15).reshape(2 * rows, 15)
    y = evaluate(graph, {"x": x})["y"]
    assert y.shape == resolve(shape, {"a": rows, "b": 5})
    assert torch.equal(y.flatten(), x.flatten())


@pytest.mark.parametrize("gained", [False, True])
def test_groups_of_channels_are_normalized_alone(gained: bool) -> None:
    x, gain = torch.randn(5, 12), torch.randn(12)
    roles = {"weight": "gain"} if gained else {}
    node = Node("y", "rms_norm", ("x",), ("seq", 12), roles, {"eps": 0.1, "group": 4})
    weights = {"gain": Weight.of(gain)} if gained else {}
    graph = Graph("language", {"x": Value("x", ("seq", 12))}, {"y": node}, ("y",), weights)
    verify(graph)
    groups = [part / (part.square().mean(1, keepdim=True) + 0.1).sqrt() for part in x.split(4, 1)]
    wanted = torch.cat(groups, 1) * (gain if gained else 1)
    assert torch.allclose(evaluate(graph, {"x": x})["y"], wanted, atol=1e-6)


def attention(causal: bool) -> Graph:
    rows = Value("q", ("seq", 16)), Value("k", ("seq", 8)), Value("v", ("seq", 8))
    attrs = {
        "heads": 2,
        "kv_heads": 1,
        "head_dim": 8,
        "scale": 0.3,
        "causal": causal,
        "cache": None,
    }
    node = Node("y", "attention", ("q", "k", "v"), ("seq", 16), attrs=attrs)
    graph = Graph("language", {value.name: value for value in rows}, {"y": node}, ("y",), {})
    verify(graph)
    return graph


def operands(rows: int) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    widths = {"q": 16, "k": 8, "v": 8}
    return {name: torch.randn(rows, size, generator=generator) for name, size in widths.items()}


@pytest.mark.parametrize("masked", [1, 50, 37 * 37])
def test_masks_in_parts(masked: int, monkeypatch: pytest.MonkeyPatch) -> None:
    feeds = operands(37)
    whole = evaluate(attention(True), feeds)["y"]
    library = "vlmforge.arithmetic.attention"
    monkeypatch.setattr(f"{library}.real_kernels", lambda *tensors: None)
    monkeypatch.setattr(f"{library}.MASKED", masked)
    assert torch.allclose(evaluate(attention(True), feeds)["y"], whole, atol=1e-6)
    for row in (0, 5, 36):
        seen = {name: tensor[: row + 1] for name, tensor in feeds.items()}
        alone = evaluate(attention(False), seen)["y"][row]
        assert torch.allclose(alone, whole[row], atol=1e-6)


@pytest.mark.parametrize("causal", [True, False])
def test_attention_among_many_rows_needs_memory_for_each(causal: bool) -> None:
    graph, feeds = attention(causal), operands(12000)
    assert peak_growth(lambda: evaluate(graph, feeds)) < 2 * 12000**2


def windowed(causal: bool = False, bounds: int = 2) -> Graph:
    graph = attention(causal)
    visible = Value("visible", ("seq", bounds), "int64")
    node = replace(graph.nodes["y"], inputs=("q", "k", "v", "visible"))
    return replace(graph, inputs={**graph.inputs, "visible": visible}, nodes={"y": node})


@pytest.mark.parametrize("changes", [{"causal": True}, {"bounds": 3}])
def test_what_no_attention_takes_as_visible(changes: dict[str, Any]) -> None:
    verify(windowed())
    with pytest.raises(GraphError, match=r"attention breaks its rule: (not causal|visible)"):
        verify(windowed(**changes))


def test_rows_see_their_windows_alone() -> None:
    feeds, windows = operands(37), [(0, 8), (8, 24), (24, 25), (25, 37)]
    bounds = [window for window in windows for _ in range(*window)]
    seen = evaluate(windowed(), {**feeds, "visible": torch.tensor(bounds)})["y"]
    for first, end in windows:
        own = {name: tensor[first:end] for name, tensor in feeds.items()}
        assert torch.equal(seen[first:end], evaluate(attention(False), own)["y"])


def test_rows_may_see_other_keys_than_their_own() -> None:
    feeds, visible = operands(5), torch.tensor([[0, 1], [2, 5], [2, 5], [1, 4], [0, 5]])
    seen = evaluate(windowed(), {**feeds, "visible": visible})["y"]
    query, key, value = (feeds[name].unflatten(1, (-1, 8)) for name in "qkv")
    for row, (first, end) in enumerate(visible.tolist()):
        scores = torch.einsum("hd,jd->hj", query[row], key[first:end, 0]) * 0.3
        context = scores.softmax(-1) @ value[first:end, 0]
        assert torch.allclose(seen[row].reshape(2, 8), context, atol=1e-6)
    none = {name: tensor[:0] for name, tensor in feeds.items()}
    assert evaluate(windowed(), {**none, "visible": visible[:0]})["y"].shape == (0, 16)
