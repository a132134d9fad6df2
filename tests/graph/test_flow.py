"""Which moves leave rows whole, and what is seen across them."""

from __future__ import annotations

import pytest

from vlmforge.dims import Dim
from vlmforge.graph.core import Graph, Node, Value
from vlmforge.graph.flow import (
    is_output,
    keeps_rows,
    readers,
    row_readers,
    row_source,
    rows_joined,
    source,
)


def chain(before: tuple[Dim, ...], op: str, after: tuple[Dim, ...]) -> Graph:
    """A GELU, a move of it, and a SiLU that reads that."""
    index = Value("index", after[:1], "int64")
    inputs = ("gelu", "index") if op == "gather_rows" else ("gelu",)
    nodes = (
        Node("gelu", "gelu", ("x",), before),
        Node("move", op, inputs, after),
        Node("silu", "silu", ("move",), after),
    )
    return Graph(
        "vision", {"x": Value("x", before), "index": index}, {n.name: n for n in nodes}, (), {}
    )


@pytest.mark.parametrize(
    ("before", "op", "after", "joined"),
    [
        (("seq", 8), "gather_rows", ("logits", 8), 1),
        ((1, "seq", 8), "reshape", ("seq", 8), 1),
        ((12, 8), "reshape", (6, 16), 2),
        (("4*groups", 8), "gather_rows", ("4*groups", 8), 1),
        (("4*groups", 8), "reshape", ("groups", 32), 4),
        (("groups", 32), "reshape", ("4*groups", 8), 0),
        ((8, "groups"), "reshape", (2, "4*groups"), 4),
        ((8, "3*groups"), "reshape", (3, "8*groups"), 0),
        ((12, 8), "reshape", (24, 4), 0),
        ((12, 8), "reshape", (8, 12), 0),
        ((12, "seq"), "reshape", ("seq", 12), 0),
        ((8,), "gather_rows", (8,), 0),
    ],
)
def test_rows(before: tuple[Dim, ...], op: str, after: tuple[Dim, ...], joined: int) -> None:
    graph = chain(before, op, after)
    move = graph.nodes["move"]
    assert rows_joined(graph, move) == joined
    assert keeps_rows(graph, move) is (joined > 0)
    assert [node.name for node in row_readers(graph, "gelu")] == ["silu" if joined else "move"]
    origin = row_source(graph, "move")
    assert origin is not None
    assert origin.name == ("gelu" if joined == 1 else "move")
    assert [node.name for node in readers(graph, "gelu")] == ["silu"]
    assert source(graph, "move") is graph.nodes["gelu"]


def test_a_moved_value_is_an_output() -> None:
    graph = chain(("seq", 8), "gather_rows", ("logits", 8))
    assert not is_output(graph, "gelu")
    graph.outputs = ("move",)
    assert is_output(graph, "gelu")
    graph.outputs = ("silu",)
    assert not is_output(graph, "gelu")
