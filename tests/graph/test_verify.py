"""A graph that breaks a rule is refused with the node's name."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from tests.graphs import merging_graph
from vlmforge.dims import Dim
from vlmforge.errors import GraphError
from vlmforge.graph.core import Graph, Node, Value, Weight
from vlmforge.graph.text import to_text
from vlmforge.graph.verify import verify


def small() -> Graph:
    nodes = [
        Node("norm", "rms_norm", ("x",), ("seq", 4), attrs={"eps": 1e-6}),
        Node("fc", "linear", ("norm",), ("seq", 3), weights={"weight": "fc.weight"}),
    ]
    return Graph(
        "language",
        {"x": Value("x", ("seq", 4))},
        {node.name: node for node in nodes},
        ("fc",),
        {"fc.weight": Weight.of(torch.ones(3, 4))},
    )


def test_text_shows_every_node() -> None:
    verify(small())
    assert to_text(small()) == (
        "language:\n"
        "  input x: float32[seq, 4]\n"
        "  norm: [seq, 4] = rms_norm(x, eps=1e-06)\n"
        "  fc: [seq, 3] = linear(norm, weight=[3, 4])\n"
        "  output fc\n"
    )


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"op": "conv9"}, "unknown operator"),
        ({"inputs": ("later",)}, "before it is defined"),
        ({"inputs": ("norm", "norm")}, "takes 1 to 1 inputs"),
        ({"weights": {}}, "no use for the weights"),
        ({"weights": {"weight": "absent"}}, "is missing"),
        ({"attrs": {"eps": 1.0}}, "has the attributes"),
        ({"shape": ("seq", 5)}, "should be"),
        ({"name": "norm"}, "defined twice"),
    ],
)
def test_a_broken_node_is_refused(changes: dict[str, object], message: str) -> None:
    graph = small()
    graph.nodes["fc"] = replace(graph.nodes["fc"], **changes)
    with pytest.raises(GraphError, match=message):
        verify(graph)


@pytest.mark.parametrize("group", [3, 0, "2"])
def test_groups_of_a_norm_are_whole(group: object) -> None:
    graph = small()
    norm = graph.nodes["norm"]
    graph.nodes["norm"] = replace(norm, attrs={**norm.attrs, "group": 2})
    verify(graph)
    graph.nodes["norm"] = replace(norm, attrs={**norm.attrs, "group": group})
    with pytest.raises(GraphError, match="whole groups"):
        verify(graph)


@pytest.mark.parametrize("dim", ["0*groups", "1*groups", "04*groups", "2*3*groups", "*groups", 0])
def test_a_malformed_dimension_is_refused(dim: Dim) -> None:
    graph = merging_graph()
    verify(graph)
    graph.inputs["patches"] = replace(graph.inputs["patches"], shape=(dim, 6))
    with pytest.raises(GraphError, match="not of dimensions"):
        verify(graph)


@pytest.mark.parametrize(
    ("target", "message"),
    [
        (["groups", 16], "hold as many elements"),
        (["4*groups", 32], "hold as many elements"),
        (["4*rows", 8], "hold as many elements"),
        (["1*groups", 32], "sizes, names and multiples"),
        ([-1, 32], "sizes, names and multiples"),
        (["2*groups", 16], r"should be \('2\*groups', 16\)"),
    ],
)
def test_a_reshape_keeps_the_elements(target: list[Dim], message: str) -> None:
    graph = merging_graph()
    graph.nodes["merged"] = replace(graph.nodes["merged"], attrs={"shape": target})
    with pytest.raises(GraphError, match=message):
        verify(graph)


def test_an_output_must_be_produced() -> None:
    with pytest.raises(GraphError, match="never produced"):
        verify(replace(small(), outputs=("nothing",)))


def test_weights_compose_without_being_read() -> None:
    reads = []

    def read(start: int, stop: int) -> torch.Tensor:
        reads.append((start, stop))
        return torch.arange(12.0).reshape(4, 3)[start:stop]

    weight = Weight((4, 3), read).map_rows(lambda rows: rows * 2).map(lambda whole: whole + 1)
    assert not reads
    assert torch.equal(weight.read(1, 3), torch.arange(12.0).reshape(4, 3)[1:3] * 2 + 1)
