"""Learned rotations lower the loss they are learned on, and the loss is that of rounding."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
import torch

from tests.graphs import captured, language_feeds, relative_error, vision_feeds
from vlmforge.graph.core import Graph
from vlmforge.graph.evaluate import evaluate
from vlmforge.learning.steps import Budget
from vlmforge.transform.choose.learn.rotations import learn_rotations
from vlmforge.transform.choose.learn.rounded import Rotated, RoundedGraph
from vlmforge.transform.hadamard import random_rotation
from vlmforge.transform.passes.centering import centre_residual
from vlmforge.transform.passes.norm_folding import fold_norms
from vlmforge.transform.passes.residual_rotation import rotate_residual
from vlmforge.transform.passes.value_rotation import random_value_rotations, rotate_values
from vlmforge.transform.precision import Precision


def rough(graph: Graph) -> Precision:
    """Norms and attention outputs are int8."""
    wanted = [n.name for n in graph.nodes.values() if n.op in ("rms_norm", "attention")]
    return Precision(dict.fromkeys(wanted, "int8"))


def with_outlier(feeds: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """One channel of the residual stream thirty times the others, as in trained models."""
    feeds["inputs_embeds"][..., 5] *= 30
    return feeds


@pytest.mark.parametrize("component", ["language", "vision"])
def test_learning_lowers_the_loss(tiny_checkpoint: Path, component: str) -> None:
    _, language, vision = captured(tiny_checkpoint)
    graph = centre_residual(fold_norms(language if component == "language" else vision))
    if component == "language":
        samples = [with_outlier(language_feeds(graph, 24, seed)) for seed in range(4)]
    else:
        samples = [vision_feeds(seed) for seed in range(4)]
    width = 96 if component == "language" else 64
    rotations = random_value_rotations(graph, 0)
    rotated = Rotated.of(graph, torch.eye(width), rotations, "cpu")
    assert rotated.residual is not None
    matrices = [rotated.residual, *rotated.values.values()]
    component_graph = RoundedGraph(graph, rough(graph), rotated)
    before, after = learn_rotations(component_graph, samples, matrices, Budget(), steps=200)
    assert after < before, (before, after)
    wanted = component_graph.exact(samples[0])
    assert component_graph.loss(samples[0], wanted).item() == pytest.approx(after, rel=1e-4)


@pytest.mark.parametrize("calls", [1, 12])
def test_an_interruption_keeps_the_best(
    tiny_checkpoint: Path, monkeypatch: pytest.MonkeyPatch, calls: int
) -> None:
    graph = fold_norms(captured(tiny_checkpoint)[1])
    samples = [language_feeds(graph, 24, seed) for seed in range(4)]
    start = random_rotation(96, 0).float()
    rotated = Rotated.of(graph, start, {}, "cpu")
    assert rotated.residual is not None
    component = RoundedGraph(graph, rough(graph), rotated)
    whole, left = component.loss, calls

    def loss(feeds: Mapping[str, torch.Tensor], wanted: torch.Tensor) -> torch.Tensor:
        nonlocal left
        left -= 1
        if left == 0:
            raise KeyboardInterrupt
        return whole(feeds, wanted)

    monkeypatch.setattr(component, "loss", loss)
    budget = Budget()
    learn_rotations(component, samples, [rotated.residual], budget, steps=30)
    assert budget.stopped
    assert torch.equal(rotated.residual, start)


def test_rounding_in_a_rotated_basis_is_rounding_the_rotated_graph(tiny_checkpoint: Path) -> None:
    graph = fold_norms(captured(tiny_checkpoint)[1])
    feeds, matrix = language_feeds(graph), random_rotation(96, 4)
    values = random_value_rotations(graph, 5)
    precision = rough(graph)
    imitated = RoundedGraph(graph, precision, Rotated.of(graph, matrix, values, "cpu"))
    turned = rotate_values(rotate_residual(graph, matrix), values)
    real = RoundedGraph(turned, precision, Rotated.of(turned, None, {}, "cpu"))
    rotated = {**feeds, "inputs_embeds": (feeds["inputs_embeds"].double() @ matrix).float()}
    wanted = imitated.exact(feeds)
    assert relative_error(wanted, evaluate(graph, feeds)["lm_head"]) < 1e-6
    losses = [imitated.loss(feeds, wanted).item(), real.loss(rotated, wanted).item()]
    assert losses[0] > 0
    assert losses[0] == pytest.approx(losses[1], rel=0.1)
