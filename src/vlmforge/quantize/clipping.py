"""Where int8 codes clip, and what is observed to find it."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import partial

from vlmforge.config import CalibrationMode, CompileConfig
from vlmforge.graph.core import Graph
from vlmforge.graph.stream import Feeds
from vlmforge.progress import Progress
from vlmforge.quantize.observe import Range, observe
from vlmforge.quantize.scales import Bound
from vlmforge.quantize.scheme import gated_products, product_inputs


@dataclass(frozen=True)
class Clipping:
    """How a mode of calibration chooses the largest size that int8 codes represent.

    Attributes:
        bound: gives it from what was observed.
        tail_ratio: share of the largest elements kept.
        histograms: values of which a histogram is made.
        rows: values of which rows are kept: queries and keys, whose clipping the scores judge.
    """

    bound: Bound
    tail_ratio: float
    histograms: Collection[str]
    rows: Collection[str] = ()

    @staticmethod
    def of(graph: Graph, config: CompileConfig) -> Clipping:
        """What the configuration asks for."""
        gated = {node.name for node in gated_products(graph)}
        if config.calibration.mode == CalibrationMode.HISTOGRAM:
            return Clipping(_best_bound, 0.0, gated | product_inputs(graph), _scored(graph))
        if config.calibration.mode == CalibrationMode.MAX:
            return Clipping(Range.bound, 0.0, gated)
        settings = config.calibration.max_percentile
        bound = partial(Range.bound, percentile=settings.percentile)
        return Clipping(bound, settings.topk_ratio, gated)

    def observe(
        self,
        graph: Graph,
        samples: Sequence[Feeds],
        device: str = "cpu",
        progress: Progress | None = None,
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
        )


def _best_bound(observed: Range) -> float:
    return observed.bound() if observed.histogram is None else observed.histogram.best_bound()


def _scored(graph: Graph) -> set[str]:
    """The queries and keys of every attention."""
    nodes = graph.nodes.values()
    return {name for node in nodes if node.op == "attention" for name in node.inputs[:2]}
