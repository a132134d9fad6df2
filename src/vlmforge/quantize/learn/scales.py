"""Learned scales: those of all weights and norms at once, so that the output errs least.

The codes of weights stay. The scale of every output channel of every product, and the gain of every
channel of a norm, descend the loss at the output of the whole component, all values rounded
(EfficientQAT, Chen et al. 2024, section 3.3, which trains the scales of groups so).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import partial

from torch import Tensor

from vlmforge.graph.core import Graph
from vlmforge.graph.feeds import shortened
from vlmforge.graph.ops import NORMS
from vlmforge.graph.scaling import multiply_norms
from vlmforge.graph.stream import Feeds
from vlmforge.learning.best import Best, judge_count
from vlmforge.learning.descent import Descent
from vlmforge.learning.loss import output_loss
from vlmforge.learning.steps import Learning, announce, timed
from vlmforge.quantize.learn.scaled_model import ScaledModel
from vlmforge.quantize.observe.float_outputs import FloatOutputs
from vlmforge.quantize.scales.choice import Scales
from vlmforge.quantize.weights.rounding import Rounding, SettledRounding, settled_weights

JUDGED = 32
"""Steps between two looks at the samples that judge."""

DESCENT = Descent(rate=1e-3, judged=JUDGED)

ROWS = 512
"""Most rows of a sample, which bounds the memory of the backward pass."""

COST = 2.5
"""Time of a step in units of an evaluation of the loss: with gradients, and backward."""


def learned_rounding(
    graph: Graph,
    codes: Mapping[str, str],
    scales: Scales,
    rounding: Rounding,
    samples: Sequence[Feeds],
    learning: Learning,
) -> tuple[Graph, Rounding]:
    """The graph with learned gains of norms, and the codes of another rounding with learned scales.

    All weights are held, as codes.

    Args:
        graph: the transformed component.
        codes: dtype of every value.
        scales: of every value.
        rounding: chooses the codes and the first scales.
        samples: each gives feeds of the graph.
        learning: how long, and where.
    """
    weights, bounds = settled_weights(graph, codes, scales, rounding, learning.progress)
    model = ScaledModel(graph, codes, scales, weights, learning.device)
    learn_scales(graph, model, samples, learning)
    found = {name: factor.double().cpu() for name, factor in model.factors.items()}
    scaled = {n: w.scaled(found[n].numpy(), bounds[n]) for n, w in weights.items()}
    gains = {node.name: found[node.name] for node in graph.nodes.values() if node.op in NORMS}
    return multiply_norms(graph, gains), SettledRounding(scaled)


def learn_scales(
    graph: Graph, model: ScaledModel, samples: Sequence[Feeds], learning: Learning
) -> tuple[float, float]:
    """Change the factors of a quantized model to those of the least loss met.

    Args:
        graph: the component with its float weights.
        model: the same, quantized.
        samples: each gives feeds of the graph; nothing is learned from the first, which judge,
            unless there is one alone.
        learning: how long, and where.

    Returns:
        The mean loss of the judging samples before and after.
    """
    judges, steps = judge_count(len(samples)), learning.steps
    used = [partial(_first_rows, graph, load) for load in samples[: judges + steps]]
    loss = _Loss(graph, model, used, learning)
    best = Best.of_samples([*model.factors.values()], loss, len(samples))
    what = f"the scales of the {graph.component} model's weights"
    _, seconds = timed(best.look)
    announce(what, seconds / judges * COST * steps + seconds * math.ceil(steps / JUDGED))
    learned_from = range(judges, len(used)) or range(1)
    DESCENT.run(best, loss, learned_from, learning, f"learning {what}")
    return best.first, best.least


class _Loss:
    """The loss of one sample, differentiable in the model's factors."""

    def __init__(
        self, graph: Graph, model: ScaledModel, samples: Sequence[Feeds], learning: Learning
    ) -> None:
        self._component, self._model, self._samples = graph.component, model, samples
        self._device = learning.device
        self._exact = FloatOutputs(graph, samples, learning.device, learning.progress)

    def __call__(self, sample: int) -> Tensor:
        feeds = {name: t.to(self._device) for name, t in self._samples[sample]().items()}
        return output_loss(self._component, self._model.run(feeds), self._exact.of(sample))


def _first_rows(graph: Graph, load: Feeds) -> Mapping[str, Tensor]:
    return shortened(graph, load(), ROWS)
