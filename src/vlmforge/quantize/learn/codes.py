"""Learned codes: those of a layer's weights together, so that the layer's output errs least.

Compensation rounds a product for its own output. Here the codes of all four-bit weights of a
transformer layer descend the squared error of the layer's output, all values rounded: rounding is
learned block by block (BRECQ, Li et al. 2021) as an offset to codes (SignRound, Cheng et al. 2023).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

import torch
from torch import Tensor

from vlmforge.graph.core import Graph, Node
from vlmforge.graph.evaluate import apply, run_nodes
from vlmforge.graph.layers import layers
from vlmforge.graph.ops import PRODUCTS
from vlmforge.graph.stream import Feeds, with_loaded
from vlmforge.learning.best import Best, judge_count
from vlmforge.learning.descent import Descent
from vlmforge.learning.loss import row_error
from vlmforge.learning.steps import Learning, announce, timed
from vlmforge.quantize.learn.layer_model import LayerModel
from vlmforge.quantize.learn.quantized_path import QuantizedPath
from vlmforge.quantize.scales.choice import Scales
from vlmforge.quantize.scales.grid import grids
from vlmforge.quantize.weights.formats import QuantizedWeight
from vlmforge.quantize.weights.rounding import (
    Rounding,
    SettledRounding,
    settled_weights,
)

DESCENT = Descent(rate=5e-3, batch=2)
"""Rates are in units of codes."""

COST = 4
"""Time of a sample of a step in units of an evaluation of its loss."""

HELD = 32
"""Bytes held for a code: itself, the best, its gradient, its moments, the weight and its scale."""

Values = Mapping[str, Tensor]


def learned_codes(
    graph: Graph,
    codes: Mapping[str, str],
    scales: Scales,
    rounding: Rounding,
    samples: Sequence[Feeds],
    learning: Learning,
    dtype: torch.dtype = torch.float32,
) -> Rounding:
    """The rounding of another with the codes of all layers learned, one layer after the other.

    All weights are held, as codes; of float weights those of one layer, four times.

    Args:
        graph: the transformed component.
        codes: dtype of every value.
        scales: of every value.
        rounding: chooses the first codes, and the scales.
        samples: each gives feeds of the graph; all are held at once.
        learning: how long, and where.
        dtype: of the products while codes are learned.
    """
    weights, _ = settled_weights(graph, codes, scales, rounding, learning.progress)
    path = QuantizedPath(graph, codes, scales, samples, learning.device)
    products = [node for node in graph.nodes.values() if node.op in PRODUCTS]
    learner, settled = _Learner(graph, codes, scales, learning, dtype), 0
    for nodes in layers(graph):
        if learning.budget.stopped:
            break
        names = {node.name for node in nodes}
        first = next(i for i, product in enumerate(products) if product.name in names)
        for product in products[settled:first]:
            path.settle(product, weights[product.name])
        settled = first
        weights |= learner.learn(nodes, weights, path.reach(nodes[0]))
    return SettledRounding(weights)


class _Learner:
    """Learns the codes of one layer after the other."""

    def __init__(
        self,
        graph: Graph,
        codes: Mapping[str, str],
        scales: Scales,
        learning: Learning,
        dtype: torch.dtype,
    ) -> None:
        self._layers, self._done = len(layers(graph)), 0
        self._graph, self._learning, self._dtype = graph, learning, dtype
        self._grids = grids(graph, codes, scales, learning.device)

    def learn(
        self,
        nodes: Sequence[Node],
        weights: Mapping[str, QuantizedWeight],
        values: Sequence[Values],
    ) -> dict[str, QuantizedWeight]:
        """The layer's weights with the codes of the least loss met.

        The first samples judge; nothing is learned from them, unless there is one alone.
        """
        model = LayerModel(
            self._graph, nodes, weights, self._grids, self._dtype, self._learning.device
        )
        self._done += 1
        if not model.codes:
            return {}
        wanted, judges = self._outputs(nodes, values), judge_count(len(values))

        def loss(sample: int) -> Tensor:
            return row_error(model.run(values[sample]), wanted[sample])

        best = Best.of_samples([*model.codes.values()], loss, len(values))
        _, seconds = timed(best.look)
        what = f"the codes of the {self._graph.component} model's weights"
        if self._done == 1:
            steps = self._layers * self._learning.steps * DESCENT.batch
            held = sum(codes.numel() for codes in best.tensors) * HELD
            announce(what, steps * seconds / judges * COST, held)
        doing = f"learning {what}, layer {self._done} of {self._layers}"
        training = range(judges, len(values)) or range(1)
        DESCENT.run(best, loss, training, self._learning, doing)
        return model.weights()

    @torch.no_grad()
    def _outputs(self, nodes: Sequence[Node], values: Sequence[Values]) -> list[Tensor]:
        """The layer's output for every sample, of the float weights and unrounded."""
        graph = with_loaded(self._graph, nodes, self._learning.device)
        return [run_nodes(nodes, each, partial(apply, graph)) for each in values]
