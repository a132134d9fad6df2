"""Inputs of a graph as writers of its residual stream."""

from __future__ import annotations

import random

import pytest
import torch
from torch import Tensor

from tests.graphs import relative_error
from tests.transform.random_graphs import ROWS, WIDTH, Builder
from vlmforge.errors import GraphError
from vlmforge.graph.core import Graph, Node, Weight
from vlmforge.graph.evaluate import evaluate
from vlmforge.graph.residual import STREAM_INPUTS, residual
from vlmforge.graph.tables import INPUT_TABLES, input_tables
from vlmforge.graph.verify import verify
from vlmforge.quantize.observe.ranges import observe
from vlmforge.transform.hadamard import random_rotation
from vlmforge.transform.passes.norm_folding import fold_norms
from vlmforge.transform.passes.residual_rotation import rotate_residual


def encoder(named: tuple[str, ...]) -> tuple[Graph, dict[str, Tensor]]:
    """A stream that begins with a product and an input, and to which another is added later."""
    build, normal = Builder(random.Random(0), 0.0), torch.Generator().manual_seed(1)
    image = build.feed("images", torch.randn(ROWS, 6, generator=normal))
    rows = build.feed("rows", torch.randn(ROWS, WIDTH, generator=normal))
    later = build.feed("later", torch.randn(1, ROWS, WIDTH, generator=normal))
    stream = build.add("add", build.linear(image, WIDTH), rows)
    mlp = build.linear(build.norm("rms_norm", stream), WIDTH)
    stream = build.add("add", stream, mlp)
    stream = build.add("add", stream, build.add("reshape", later, shape=(ROWS, WIDTH)))
    head = build.linear(build.norm("rms_norm", stream), WIDTH)
    table = Node("table", "constant", (), (9, WIDTH), {"value": "table"})
    weights = {**build.weights, "table": Weight.of(4 * torch.ones(9, WIDTH))}
    meta = {STREAM_INPUTS: list(named), INPUT_TABLES: {"rows": "table"}}
    nodes = {"table": table, **build.nodes}
    graph = Graph("vision", build.inputs, nodes, (head,), weights, meta)
    verify(graph)
    return graph, build.feeds


def test_inputs_that_the_graph_names_write_the_stream() -> None:
    graph, feeds = encoder(("rows", "later"))
    stream = residual(graph)
    assert stream.inputs == ("rows", "later")
    assert [node.op for node in stream.writers] == ["linear", "linear"]
    rotation = random_rotation(WIDTH, 0)
    turned = rotate_residual(fold_norms(graph), rotation)
    given = {n: (feeds[n].double() @ rotation).float() for n in stream.inputs}
    wanted, got = evaluate(graph, feeds), evaluate(turned, {**feeds, **given})
    for name, value in wanted.items():
        assert relative_error(got[name], value) < 2e-5
    table = (4 * torch.ones(9, WIDTH).double() @ rotation).float()
    torch.testing.assert_close(turned.weights["table"].load(), table)


@pytest.mark.parametrize(("named", "missing"), [(("rows",), "later"), (("later",), "rows")])
def test_others_are_refused_by_name(named: tuple[str, ...], missing: str) -> None:
    with pytest.raises(GraphError, match=f"adds the graph input '{missing}'"):
        residual(encoder(named)[0])


def test_the_range_of_an_input_is_that_of_its_table() -> None:
    graph, feeds = encoder(("rows", "later"))
    assert input_tables(graph) == {"rows": "table"}
    feeds["rows"] = feeds["rows"].clamp(-1, 1)
    ranges = observe(graph, [lambda: feeds])
    assert ranges["rows"].bound() == 4 and ranges["rows"].channels.tolist() == [4] * WIDTH
    assert ranges["later"].bound() == feeds["later"].abs().max().item()
