"""From a graph to a program with rounded weights: the quantized path, and what it is for."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.graphs import captured, language_feeds, vision_feeds
from tests.quantize.lowered import lowered
from vlmforge.config import CompileConfig
from vlmforge.graph.core import Graph, Node, Weight
from vlmforge.graph.evaluate import evaluate
from vlmforge.graph.ops import PRODUCTS
from vlmforge.graph.stream import Feeds
from vlmforge.machine.reference.machine import ReferenceMachine
from vlmforge.program.core import Program
from vlmforge.program.verify import verify
from vlmforge.quantize.learn.quantized_path import QuantizedPath
from vlmforge.quantize.observe.ranges import Range, observe
from vlmforge.quantize.scales.choice import Scales, choose_scales
from vlmforge.quantize.scheme import assign_codes
from vlmforge.quantize.weights.formats import quantize_weight
from vlmforge.quantize.weights.rounding import NearestRounding, choose_rounding, weight_formats

FOUR = dict.fromkeys(("query", "key", "value", "output", "ffn", "head"), 4)


def loaders(graph: Graph, count: int) -> list[Feeds]:
    language = graph.component == "language"
    feeds = [language_feeds(graph, 24, s) if language else vision_feeds(s) for s in range(count)]
    return [lambda f=f: f for f in feeds]  # type: ignore[misc]


@lru_cache(maxsize=2)
def scaled(path: Path, component: int) -> tuple[Graph, dict[str, str], Scales]:
    graph = captured(path)[component]
    codes = assign_codes(graph, ())
    return graph, codes, choose_scales(graph, codes, observe(graph, loaders(graph, 6)), Range.bound)


def program_of(path: Path, component: int, settings: Mapping[str, Any]) -> Program:
    graph, codes, scales = scaled(path, component)
    config = CompileConfig.parse(dict(settings))

    compensates = config.hessian_quant.apply
    path = QuantizedPath(graph, codes, scales, loaders(graph, 6)) if compensates else None
    rounding = choose_rounding(
        graph, weight_formats(graph, config, ()), config.hessian_quant.attributes, path
    )
    program = lowered(graph, codes, scales, rounding)
    verify(program)
    return program


def noise(graph: Graph, program: Program) -> float:
    """Relative squared error of the output on a sample that was not used."""
    feeds = language_feeds(graph, 24, 99) if graph.component == "language" else vision_feeds(99)
    (name,) = graph.outputs
    wanted = evaluate(graph, feeds)[name].double().numpy()
    inputs = {name: value.numpy() for name, value in feeds.items()}
    got = ReferenceMachine(program).run(inputs)[name]
    buffer = program.buffers[name]
    got = got.astype(float) * (buffer.scale or 1.0)
    return float(((got - wanted) ** 2).sum() / (wanted**2).sum())


def real_rows(path: QuantizedPath, product: Node) -> list[Tensor]:
    """What the product reads, as real numbers."""
    grid = path.grid(product)
    return [rows if grid is None else grid.real(rows) for rows in path.rows(product)]


def test_the_path_without_codes_is_the_graph_of_rounded_weights(tiny_checkpoint: Path) -> None:
    graph, _, scales = scaled(tiny_checkpoint, 1)
    floats = dict.fromkeys((*graph.inputs, *graph.nodes), "float32")
    path = QuantizedPath(graph, floats, scales, loaders(graph, 2))
    seen: dict[str, Tensor] = {}
    rounded = graph.with_weights(
        {
            name: Weight.of(quantize_weight(graph.weights[name]).dequantized())
            for node in graph.nodes.values()
            if node.op in PRODUCTS
            for name in [node.weights["weight"]]
        }
    )
    evaluate(rounded, language_feeds(graph, 24, 1), observe=seen.__setitem__)
    for node in graph.nodes.values():
        if node.op in PRODUCTS:
            _, rows = path.rows(node)
            torch.testing.assert_close(rows, seen[node.inputs[0]])
            path.settle(node, quantize_weight(graph.weights[node.weights["weight"]]))


def test_the_path_uses_the_settled_weights_and_rounds(tiny_checkpoint: Path) -> None:
    graph, codes, scales = scaled(tiny_checkpoint, 1)
    path = QuantizedPath(graph, codes, scales, loaders(graph, 1))
    for node in graph.nodes.values():
        if node.op in PRODUCTS:
            (rows,) = real_rows(path, node)
            if node.name.endswith("o_proj"):
                break
            weight = quantize_weight(graph.weights[node.weights["weight"]])
            nothing = weight.with_codes(torch.zeros(weight.codes.shape))
            path.settle(node, nothing if "v_proj" in node.name else weight)
    bias = graph.weights["model.layers.0.self_attn.v_proj.bias"].load()
    repeats = rows.shape[1] // len(bias)
    heads = bias.reshape(-1, 1, node_dim(graph)).repeat(1, repeats, 1).flatten()
    torch.testing.assert_close(rows, heads.expand_as(rows), rtol=0.1, atol=0.03)


def node_dim(graph: Graph) -> int:
    attention = next(node for node in graph.nodes.values() if node.op == "attention")
    return int(attention.attrs["head_dim"])


@pytest.mark.parametrize("component", [1, 2])
def test_the_path_follows_the_machine(tiny_checkpoint: Path, component: int) -> None:
    """The rows a product reads are those of the integer program, but for rounding."""
    graph, codes, scales = scaled(tiny_checkpoint, component)
    program = program_of(tiny_checkpoint, component, {"hessianQuant": {"apply": False}})
    load = loaders(graph, 1)[0]
    traced: dict[str, np.ndarray] = {}
    machine = ReferenceMachine(program)
    machine.run({name: t.numpy() for name, t in load().items()}, trace=traced.__setitem__)
    path = QuantizedPath(graph, codes, scales, [load])
    rounding = NearestRounding(graph, weight_formats(graph, CompileConfig(), ()))
    for node in graph.nodes.values():
        if node.op == "linear":
            (rows,) = real_rows(path, node)
            wanted = traced[node.inputs[0]] * program.buffers[node.inputs[0]].scale
            error = np.square(rows.numpy() - wanted).sum() / np.square(wanted).sum()
            assert error < 5e-3, node.name
        if node.op in PRODUCTS:
            path.settle(node, rounding.quantize(node, None))


@pytest.mark.parametrize("component", [1, 2])
@pytest.mark.parametrize("group", [None, 32])
def test_four_bits(tiny_checkpoint: Path, component: int, group: int | None) -> None:
    graph = captured(tiny_checkpoint)[component]
    settings = {"bit": {"transformer": {"weight": FOUR, "weightGroup": group}}}
    program = program_of(tiny_checkpoint, component, settings)
    products = [step for step in program.instructions if step.op in PRODUCTS]
    for step in products:
        narrow = program.tensors[step.tensors["weight"]].dtype == np.uint8
        assert narrow == (step.op == "linear")
        assert ("group" in step.attrs) == (narrow and group is not None)
    assert noise(graph, program) < 0.5


def test_compensation_and_search_pay(tiny_checkpoint: Path) -> None:
    """On the encoder, whose inputs go together; the decoder's random embeddings do not."""
    four = {"bit": {"transformer": {"weight": FOUR}}}
    nearest = four | {"hessianQuant": {"apply": False}}
    largest = nearest | {"searchWeightScale": {"apply": False}}
    graph = captured(tiny_checkpoint)[2]
    errors = [
        noise(graph, program_of(tiny_checkpoint, 2, settings))
        for settings in (four, nearest, largest)
    ]
    assert errors == sorted(errors)
    assert errors[0] < 0.8 * errors[1]
