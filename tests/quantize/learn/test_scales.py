"""Learned scales lower the loss at the output, on samples nothing was learned from too."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.graphs import captured, language_feeds, vision_feeds
from vlmforge.graph.core import Graph, Node
from vlmforge.graph.evaluate import evaluate
from vlmforge.graph.ops import PRODUCTS
from vlmforge.graph.stream import Feeds
from vlmforge.learning.steps import Budget, Learning
from vlmforge.quantize.learn.scaled_model import ScaledModel
from vlmforge.quantize.learn.scales import learn_scales, learned_rounding
from vlmforge.quantize.observe.float_outputs import FloatOutputs
from vlmforge.quantize.observe.ranges import Range, observe
from vlmforge.quantize.scales.choice import Scales, choose_scales
from vlmforge.quantize.scheme import assign_codes
from vlmforge.quantize.weights.formats import QuantizedWeight, quantize_weight
from vlmforge.quantize.weights.rounding import SettledRounding

COMPONENTS = {"language": 1, "vision": 2}


def samples_of(graph: Graph, count: int) -> list[Feeds]:
    language = graph.component == "language"
    feeds = [language_feeds(graph, 24, s) if language else vision_feeds(s) for s in range(count)]
    return [lambda f=f: f for f in feeds]  # type: ignore[misc]


def calibrated(graph: Graph, samples: Sequence[Feeds]) -> tuple[dict[str, str], Scales]:
    codes = assign_codes(graph, ())
    return codes, choose_scales(graph, codes, observe(graph, samples), Range.bound)


def products(graph: Graph) -> list[Node]:
    return [node for node in graph.nodes.values() if node.op in PRODUCTS]


def wrong(graph: Graph) -> dict[str, QuantizedWeight]:
    """int8 weights whose channels are up to two percent too large or too small."""
    generator = np.random.default_rng(0)
    found = {}
    for node in products(graph):
        weight = quantize_weight(graph.weights[node.weights["weight"]])
        factors = generator.uniform(0.98, 1.02, len(weight.scales))
        found[node.name] = weight.scaled(factors, None)
    return found


@pytest.mark.parametrize("component", COMPONENTS)
def test_learning_mends_wrong_scales(tiny_checkpoint: Path, component: str) -> None:
    graph = captured(tiny_checkpoint)[COMPONENTS[component]]
    samples = samples_of(graph, 6)
    codes, scales = calibrated(graph, samples)
    model = ScaledModel(graph, codes, scales, wrong(graph))
    before, after = learn_scales(graph, model, samples, Learning(60, Budget()))
    assert after < 0.8 * before


def test_codes_stay_and_scales_move(tiny_checkpoint: Path) -> None:
    graph = captured(tiny_checkpoint)[1]
    samples, first = samples_of(graph, 6), wrong(graph)
    codes, scales = calibrated(graph, samples)
    learning = Learning(30, Budget())
    chosen = (graph, codes, scales, SettledRounding(first), samples)
    learned, found = learned_rounding(*chosen, learning)
    norm = next(node for node in graph.nodes.values() if node.op == "rms_norm")
    gains = [each.weights[norm.weights["weight"]].load() for each in (graph, learned)]
    assert 0 < (gains[1] / gains[0] - 1).abs().max() < 0.03
    moved = 0
    for node in products(graph):
        old, new = first[node.name], found.quantize(node, None)
        assert np.array_equal(old.codes, new.codes)
        assert np.abs(new.scales / old.scales - 1).max() < 0.03
        moved += not np.array_equal(old.scales, new.scales)
    assert moved > len(products(graph)) / 2


def test_an_interruption_keeps_the_first_scales(
    tiny_checkpoint: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    graph = captured(tiny_checkpoint)[1]
    samples = samples_of(graph, 3)
    codes, scales = calibrated(graph, samples)
    model = ScaledModel(graph, codes, scales, wrong(graph))

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(torch.optim.Adam, "step", interrupted)
    budget = Budget()
    with caplog.at_level(logging.WARNING):
        learn_scales(graph, model, samples, Learning(4, budget))
    assert budget.stopped
    assert caplog.messages[0].startswith("Learning the scales of the language model's weights")
    assert all((factor == 1).all() for factor in model.factors.values())


def test_float_outputs_are_the_graphs(tiny_checkpoint: Path) -> None:
    graph = captured(tiny_checkpoint)[1]
    samples = samples_of(graph, 2)
    outputs = FloatOutputs(graph, samples)
    for position, load in enumerate(samples):
        wanted = evaluate(graph, load())[graph.outputs[0]]
        torch.testing.assert_close(outputs.of(position), wanted)
