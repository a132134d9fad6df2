"""Where int8 codes clip, and what is observed to find it."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import partial

from vlmforge.config import CalibrationMode, CompileConfig
from vlmforge.formats.kept_file import KeptFile
from vlmforge.graph.core import Graph
from vlmforge.graph.stream import Feeds
from vlmforge.progress import Progress
from vlmforge.quantize.observe.ranges import Range, observe
from vlmforge.quantize.scales.choice import Bound
from vlmforge.quantize.scheme import gated_products, one_sided, product_inputs


@dataclass(frozen=True)
class Clipping:
    """How a mode of calibration chooses the largest size that int8 codes represent.

    Attributes:
        bound: gives it from what was observed.
        tail_ratio: share of the largest elements kept.
        histograms: values of which a histogram is made.
        rows: values of which rows are kept: queries and keys, whose clipping the scores judge.
        shifted: values whose int8 codes have a zero point.
    """

    bound: Bound
    tail_ratio: float
    histograms: Collection[str]
    rows: Collection[str] = ()
    shifted: Collection[str] = ()

    @staticmethod
    def of(graph: Graph, config: CompileConfig) -> Clipping:
        """What the configuration asks for."""
        settings = config.calibration
        gated = {node.name for node in gated_products(graph)}
        shifted = one_sided(graph) if settings.method.zero_points else set()
        if settings.mode == CalibrationMode.HISTOGRAM:
            histograms = gated | product_inputs(graph)
            return Clipping(_best_bound, 0.0, histograms, _scored(graph), shifted)
        if settings.mode == CalibrationMode.MAX:
            return Clipping(Range.bound, 0.0, gated, shifted=shifted)
        bound = partial(Range.bound, percentile=settings.max_percentile.percentile)
        return Clipping(bound, settings.max_percentile.topk_ratio, gated, shifted=shifted)

    def observe(
        self,
        graph: Graph,
        samples: Sequence[Feeds],
        device: str = "cpu",
        progress: Progress | None = None,
        kept: KeptFile | None = None,
    ) -> dict[str, Range]:
        """The range of every value over the samples; see :func:`observe`."""
        return observe(
            graph,
            samples,
            self.tail_ratio,
            device,
            progress,
            tails=product_inputs(graph),
            histograms=self.histograms,
            rows=self.rows,
            shifted=self.shifted,
            kept=kept,
        )


def _best_bound(observed: Range) -> float:
    if observed.histogram is None:
        return observed.bound()
    return observed.histogram.best_bound(min(observed.sides) if observed.shifted else math.inf)


def _scored(graph: Graph) -> set[str]:
    """The queries and keys of every attention."""
    nodes = graph.nodes.values()
    return {name for node in nodes if node.op == "attention" for name in node.inputs[:2]}
