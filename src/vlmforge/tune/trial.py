"""Trials: variants of a graph with some values and weights rounded, run side by side."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from vlmforge.graph.core import Graph, Node, Weight
from vlmforge.graph.evaluate import apply, last_uses
from vlmforge.graph.stream import with_loaded
from vlmforge.progress import Progress
from vlmforge.quantize.scales.grid import Grid
from vlmforge.quantize.weights.formats import WeightFormat, quantize_weight

Values = dict[str, Tensor]
Measure = Callable[[str, int, int, Tensor, Tensor], None]
"""Told of trial, sample, the float output and the trial's."""


@dataclass(frozen=True)
class Trial:
    """What is rounded; the rest stays float.

    Attributes:
        grids: by value name, those of graph inputs included.
        formats: by product name.
        feeds: graph inputs that differ from the sample's, one mapping a sample.
    """

    grids: Mapping[str, Grid] = field(default_factory=dict)
    formats: Mapping[str, WeightFormat] = field(default_factory=dict)
    feeds: Sequence[Mapping[str, Tensor]] = ()


def run_trials(
    graph: Graph,
    samples: Sequence[Mapping[str, Tensor]],
    trials: Sequence[Trial],
    measure: Measure,
    progress: Progress | None = None,
    doing: str = "trying",
) -> None:
    """Run the float graph and every trial on every sample.

    Weights are read once for all. A trial computes only what its rounding reaches; before, it
    shares the float values.

    Args:
        graph: the transformed graph, with one output.
        samples: feeds.
        trials: to run.
        measure: called once a trial and sample, the float output beside the trial's.
        progress: is told of every node.
        doing: the verb of its text.
    """
    run = _Run(graph, samples, trials, measure)
    for done, node in enumerate(graph.nodes.values()):
        run.step(node)
        run.release(node, done)
        if progress is not None:
            progress(f"{doing} the {graph.component} model", done + 1, len(graph.nodes))


class _Run:
    def __init__(
        self,
        graph: Graph,
        samples: Sequence[Mapping[str, Tensor]],
        trials: Sequence[Trial],
        measure: Measure,
    ) -> None:
        self.graph, self.trials, self.measure = graph, trials, measure
        self.base: list[Values] = [dict(sample) for sample in samples]
        self.own: list[list[Values]] = [
            [_entering(trial, index, sample) for index, sample in enumerate(samples)]
            for trial in trials
        ]
        self.ends = last_uses(graph)

    @torch.no_grad()
    def step(self, node: Node) -> None:
        """Compute one node for the float graph and for each trial it differs in.

        An output, which may be as large as all other values, is handed over and not kept.
        """
        held = with_loaded(self.graph, [node])
        rounded: dict[WeightFormat, Graph] = {}
        for values in self.base:
            values[node.name] = apply(held, node, values)
        for index, trial in enumerate(self.trials):
            form = trial.formats.get(node.name)
            if form is not None and form not in rounded:
                rounded[form] = _rounded(held, node, form)
            graph = None if form is None else rounded[form]
            for sample, values in enumerate(self.base):
                value = self._value(node, graph or held, index, sample, graph is not None)
                if node.name in self.graph.outputs:
                    wanted = values[node.name]
                    found = wanted if value is None else value
                    self.measure(node.name, index, sample, wanted, found)
                elif value is not None:
                    self.own[index][sample][node.name] = value

    def _value(
        self, node: Node, graph: Graph, trial: int, sample: int, changed: bool
    ) -> Tensor | None:
        """What a trial makes of a node; None where that is the float value."""
        values, own = self.base[sample], self.own[trial][sample]
        grid = self.trials[trial].grids.get(node.name)
        if changed or any(name in own for name in node.inputs):
            inputs = {name: own.get(name, values[name]) for name in node.inputs}
            value = apply(graph, node, inputs)
            return value if grid is None else grid.round(value)
        return None if grid is None else grid.round(values[node.name])

    def release(self, node: Node, position: int) -> None:
        """Drop the values nothing reads any more."""
        done = [n for n in (*node.inputs, node.name) if self.ends.get(n, position) == position]
        for name in done:
            for values in (*self.base, *(own for owned in self.own for own in owned)):
                values.pop(name, None)


def _entering(trial: Trial, index: int, sample: Mapping[str, Tensor]) -> Values:
    given = dict(trial.feeds[index]) if trial.feeds else {}
    for name in sample:
        if name in trial.grids:
            given[name] = trial.grids[name].round(given.get(name, sample[name]))
    return given


def _rounded(held: Graph, node: Node, form: WeightFormat) -> Graph:
    name = node.weights["weight"]
    weight = held.weights[name]
    real = quantize_weight(weight, form).dequantized().reshape(weight.shape)
    return held.with_weights({name: Weight.of(real)})
