"""Segments end where samples keep little, and their weights are read once."""

from __future__ import annotations

import pytest
import torch

from vlmforge.graph import stream as module
from vlmforge.graph.core import Graph, Node, Value, Weight
from vlmforge.graph.evaluate import evaluate
from vlmforge.graph.stream import Live, segments, stream

HIDDEN, WIDE, LAYERS = 8, 64, 3
PRODUCT = 4 * HIDDEN * WIDE
"""Bytes of a weight."""


def layers() -> Graph:
    """MLPs in the manner of a decoder: to a wide value, through it, and back."""
    generator = torch.Generator().manual_seed(0)
    nodes: dict[str, Node] = {}
    weights: dict[str, Weight] = {}

    def product(name: str, source: str, out: int, width: int) -> str:
        weights[f"{name}.weight"] = Weight.of(torch.randn(out, width, generator=generator))
        held = {"weight": f"{name}.weight"}
        nodes[name] = Node(name, "linear", (source,), ("seq", out), held)
        return name

    hidden = "x"
    for layer in range(LAYERS):
        gate = product(f"gate{layer}", hidden, WIDE, HIDDEN)
        up = product(f"up{layer}", hidden, WIDE, HIDDEN)
        nodes[f"mul{layer}"] = Node(f"mul{layer}", "mul", (gate, up), ("seq", WIDE))
        down = product(f"down{layer}", f"mul{layer}", HIDDEN, WIDE)
        nodes[f"add{layer}"] = Node(f"add{layer}", "add", (hidden, down), ("seq", HIDDEN))
        hidden = f"add{layer}"
    last = product("head", hidden, WIDE, HIDDEN)
    nodes["end"] = Node("end", "add", (last, last), ("seq", WIDE))
    return Graph("language", {"x": Value("x", ("seq", HIDDEN))}, nodes, ("end",), weights)


@pytest.fixture(autouse=True)
def small_segments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SEGMENT_BYTES", PRODUCT)


def test_few_rows_let_segments_be_as_small_as_asked() -> None:
    graph = layers()
    parts = list(segments(graph, list(graph.nodes.values()), rows=1))
    assert [part[0].name for part in parts[:3]] == ["gate0", "up0", "down0"]


def test_many_rows_let_segments_end_between_layers() -> None:
    graph = layers()
    parts = list(segments(graph, list(graph.nodes.values()), rows=10_000))
    assert [part[-1].name for part in parts] == ["add0", "add1", "add2", "end"]


@pytest.mark.parametrize("rows", [1, 40, 400])
def test_every_value_of_every_sample_is_seen(rows: int) -> None:
    graph, generator = layers(), torch.Generator().manual_seed(1)
    samples = [{"x": torch.randn(rows, HIDDEN, generator=generator)} for _ in range(3)]
    seen: dict[str, list[int]] = {}
    values: dict[tuple[int, str], torch.Tensor] = {}

    def visit(sample: int, name: str, value: torch.Tensor) -> None:
        seen.setdefault(name, []).append(sample)
        values[sample, name] = value

    stream(graph, [lambda each=each: each for each in samples], visit)

    assert set(seen) == {"x", *graph.nodes} - {"end"}
    assert all(order == [0, 1, 2] for order in seen.values())
    for index, feeds in enumerate(samples):
        expected: dict[str, torch.Tensor] = {}
        evaluate(graph, feeds, observe=expected.__setitem__)
        for name in seen:
            if name != "x":
                assert torch.equal(values[index, name], expected[name])


class Kept:
    """How far samples have come after a number of segments."""

    def __init__(self, at: int) -> None:
        self.at, self.place, self.last = at, None, False

    def found(self) -> tuple[int, Live] | None:
        return self.place

    def keep(self, done: int, live: Live, *, last: bool) -> None:
        if done == self.at:
            self.place, self.last = (done, [dict(each) for each in live]), last


def test_samples_go_on_where_they_were() -> None:
    graph, generator = layers(), torch.Generator().manual_seed(1)
    feeds = [{"x": torch.randn(400, HIDDEN, generator=generator)} for _ in range(3)]
    samples = [lambda each=each: dict(each) for each in feeds]

    def seen(keeper: Kept | None) -> dict[tuple[int, str], torch.Tensor]:
        values: dict[tuple[int, str], torch.Tensor] = {}

        def visit(sample: int, name: str, value: torch.Tensor) -> None:
            values[sample, name] = value

        stream(graph, samples, visit, keeper=keeper)
        return values

    whole = seen(None)
    for at, first in [(1, "gate1"), (2, "gate2"), (4, None)]:
        keeper = Kept(at)
        assert seen(keeper).keys() == whole.keys() and keeper.last == (at == 4)
        rest = seen(keeper)
        assert [name for _, name in rest][:1] == ([] if first is None else [first])
        assert all(torch.equal(value, whole[key]) for key, value in rest.items())
