"""Learned codes lower the error of a layer's output, on samples nothing was learned from too."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.graphs import captured
from tests.quantize.learn.test_scales import products, samples_of
from vlmforge.graph.core import Graph
from vlmforge.graph.evaluate import evaluate
from vlmforge.graph.layers import layers
from vlmforge.graph.stream import Feeds
from vlmforge.learning.steps import Budget, Learning
from vlmforge.quantize.learn.codes import learned_codes
from vlmforge.quantize.learn.layer_model import LayerModel
from vlmforge.quantize.learn.scaled_model import ScaledModel
from vlmforge.quantize.observe.ranges import Range, observe
from vlmforge.quantize.scales.choice import Scales, choose_scales
from vlmforge.quantize.scales.grid import grids
from vlmforge.quantize.scheme import assign_codes
from vlmforge.quantize.weights.formats import QuantizedWeight, WeightFormat, quantize_weight
from vlmforge.quantize.weights.rounding import Rounding, SettledRounding

COMPONENTS = {"language": 1, "vision": 2}
NARROW = WeightFormat(4, 32, search=True)


def calibrated(graph: Graph, samples: Sequence[Feeds]) -> tuple[dict[str, str], Scales]:
    """All values int16, so that the error is that of weights."""
    codes = {n: "int16" if c == "int8" else c for n, c in assign_codes(graph, ()).items()}
    return codes, choose_scales(graph, codes, observe(graph, samples), Range.bound)


def nearest(graph: Graph) -> dict[str, QuantizedWeight]:
    """Four bits to nearest within the layers, eight elsewhere."""
    inner = {node.name for nodes in layers(graph) for node in nodes}
    return {
        node.name: quantize_weight(
            graph.weights[node.weights["weight"]], NARROW if node.name in inner else None
        )
        for node in products(graph)
    }


def settled(graph: Graph, rounding: Rounding) -> dict[str, QuantizedWeight]:
    return {node.name: rounding.quantize(node, None) for node in products(graph)}


def error(graph: Graph, weights: Mapping[str, QuantizedWeight], first: int) -> float:
    """Squared error at the output, of samples from a number on, relative to its square."""
    samples = samples_of(graph, 48)
    codes, scales = calibrated(graph, samples)
    model = ScaledModel(graph, codes, scales, weights)
    found = []
    for load in samples[first:]:
        wanted = evaluate(graph, load())[graph.outputs[0]]
        with torch.no_grad():
            output = model.run(load())
        found.append(((output - wanted).square().sum() / wanted.square().sum()).item())
    return float(np.mean(found))


@pytest.mark.parametrize("component", COMPONENTS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_unseen_samples_gain(tiny_checkpoint: Path, component: str, dtype: torch.dtype) -> None:
    graph = captured(tiny_checkpoint)[COMPONENTS[component]]
    samples, first = samples_of(graph, 40), nearest(graph)
    codes, scales = calibrated(graph, samples)
    chosen = (graph, codes, scales, SettledRounding(first), samples)
    found = learned_codes(*chosen, Learning(150, Budget()), dtype)
    after = settled(graph, found)
    assert error(graph, after, 40) < 0.98 * error(graph, first, 40)


def test_codes_turn_and_the_rest_stays(tiny_checkpoint: Path) -> None:
    graph = captured(tiny_checkpoint)[1]
    samples, first = samples_of(graph, 6), nearest(graph)
    codes, scales = calibrated(graph, samples)
    chosen = (graph, codes, scales, SettledRounding(first), samples)
    after = settled(graph, learned_codes(*chosen, Learning(20, Budget())))
    turned = 0
    for name, old in first.items():
        new = after[name]
        assert np.array_equal(old.scales, new.scales)
        steps = np.abs(old.codes.astype(int) - new.codes)
        assert steps.max() <= (1 if old.bits == 4 else 0)
        assert new.codes.min() >= old.range.lowest and new.codes.max() <= old.range.largest
        turned += int(steps.sum())
    assert turned > 0


def test_an_interruption_keeps_the_first_codes(
    tiny_checkpoint: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    graph = captured(tiny_checkpoint)[1]
    samples, first = samples_of(graph, 3), nearest(graph)
    codes, scales = calibrated(graph, samples)

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(torch.optim.Adam, "step", interrupted)
    budget = Budget()
    with caplog.at_level(logging.WARNING):
        found = learned_codes(
            graph, codes, scales, SettledRounding(first), samples, Learning(4, budget)
        )
    assert budget.stopped
    assert caplog.messages[0].startswith("Learning the codes of the language model's weights")
    for name, weight in settled(graph, found).items():
        assert np.array_equal(weight.codes, first[name].codes)


def test_a_layer_computes_what_the_whole_does(tiny_checkpoint: Path) -> None:
    graph = captured(tiny_checkpoint)[1]
    samples, weights = samples_of(graph, 2), nearest(graph)
    codes, scales = calibrated(graph, samples)
    nodes = layers(graph)[0]
    seen: dict[str, torch.Tensor] = {}
    model = ScaledModel(graph, codes, scales, weights)
    value_of = model._value

    def watched(node, values):  # type: ignore[no-untyped-def]
        seen[node.name] = value_of(node, values)
        return seen[node.name]

    model._value = watched  # type: ignore[method-assign]
    with torch.no_grad():
        feeds = samples[0]()
        model.run(feeds)
        layer = LayerModel(graph, nodes, weights, grids(graph, codes, scales), torch.float32)
        found = layer.run({**feeds, **seen})
    torch.testing.assert_close(found, seen[nodes[-1].name])
