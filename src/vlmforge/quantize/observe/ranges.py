"""Observes the range of every value over the calibration samples."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from vlmforge.formats.kept_file import KeptFile
from vlmforge.formats.kept_pass import KeptPass
from vlmforge.graph.core import Graph
from vlmforge.graph.stream import Feeds, stream
from vlmforge.graph.tables import input_tables
from vlmforge.progress import Progress
from vlmforge.quantize.observe.histogram import Histogram

ROWS = 1024
"""Rows of a value kept over all samples, where some are."""


@dataclass
class Range:
    """Statistics of one value.

    Attributes:
        tail: the largest absolute values seen, at least the share ``1 - percentile`` of all.
        count: how many elements were seen.
        lowest, highest: of each channel (last dimension).
        histogram: of all elements, if one was asked for.
        rows: some of its rows, float32 ``[rows, channels]``, if they were asked for.
        shifted: whether its int8 codes have a zero point.
    """

    tail: Tensor = field(default_factory=lambda: torch.empty(0))
    count: int = 0
    lowest: Tensor | None = None
    highest: Tensor | None = None
    histogram: Histogram | None = None
    rows: Tensor | None = None
    shifted: bool = False

    @staticmethod
    def restored(kept: Mapping[str, Any]) -> Range:
        """The statistics that a :class:`KeptFile` gives."""
        histogram = kept["histogram"]
        return Range(**{**kept, "histogram": histogram and Histogram(**histogram)})

    def update(self, value: Tensor, tail_ratio: float) -> None:
        """Take in one sample's value; ``tail_ratio`` of its elements are kept."""
        rows = value.flatten(0, -2)
        low, high = rows.amin(0).cpu(), rows.amax(0).cpu()
        self.lowest = low if self.lowest is None else self.lowest.minimum(low)
        self.highest = high if self.highest is None else self.highest.maximum(high)
        self.count += value.numel()
        kept = int(value.numel() * tail_ratio)
        largest = low.abs().maximum(high.abs()).max().reshape(1)
        top = _largest(value.abs().flatten(), kept) if kept > 1 else largest
        self.tail = torch.cat([self.tail, top])

    def keep(self, rows: Tensor) -> None:
        """Keep some rows of a sample's value."""
        self.rows = rows.cpu() if self.rows is None else torch.cat([self.rows, rows.cpu()])

    @property
    def channels(self) -> Tensor:
        """The largest absolute value of each channel, float32 ``[channels]``."""
        assert self.lowest is not None and self.highest is not None
        return self.lowest.abs().maximum(self.highest.abs())

    @property
    def centres(self) -> Tensor:
        """Halfway between the lowest and the highest value of each channel."""
        assert self.lowest is not None and self.highest is not None
        return (self.lowest + self.highest) / 2

    @property
    def spreads(self) -> Tensor:
        """The largest distance of each channel's values from its centre."""
        assert self.lowest is not None and self.highest is not None
        return (self.highest - self.lowest) / 2

    @property
    def sides(self) -> tuple[float, float]:
        """How far the values go below zero and above it."""
        assert self.lowest is not None and self.highest is not None
        return max(0.0, -self.lowest.min().item()), max(0.0, self.highest.max().item())

    def bound(self, percentile: float = 1.0) -> float:
        """The absolute value that the share ``percentile`` of all elements does not exceed."""
        beyond = int(self.count * (1.0 - percentile))
        ordered = self.tail.sort(descending=True).values
        return ordered[min(beyond, len(ordered) - 1)].item()


def _spread(value: Tensor, count: int) -> Tensor:
    """``count`` rows, or all if they are fewer, as far from each other and the ends as can be."""
    count = min(count, len(value))
    return value[((torch.arange(count) + 0.5) * (len(value) / count)).long()]


def _largest(sizes: Tensor, count: int) -> Tensor:
    """The ``count`` largest elements in any order, on the CPU."""
    if sizes.device.type != "cpu":
        return sizes.topk(count, sorted=False).values.cpu()
    # On the CPU, topk takes longer than a transformer layer, NumPy's selection a tenth of that.
    return torch.from_numpy(np.partition(sizes.numpy(), sizes.numel() - count)[-count:].copy())


def observe(
    graph: Graph,
    samples: Sequence[Feeds],
    tail_ratio: float = 0.0,
    device: str = "cpu",
    progress: Progress | None = None,
    tails: Collection[str] | None = None,
    histograms: Collection[str] = (),
    rows: Collection[str] = (),
    shifted: Collection[str] = (),
    kept: KeptFile | None = None,
) -> dict[str, Range]:
    """The range of every float value that some node reads, over the rows of its table too.

    Products are those of numbers rounded to bfloat16: what is read off is far coarser.

    Args:
        graph: the transformed graph.
        samples: each gives the feeds of one sample; called once.
        tail_ratio: share of each sample's elements kept for percentiles, 0 for maxima only.
        device: where to compute.
        progress: called with a text, the segments done and all segments.
        tails: values whose tails are kept; all by default. Of the others only maxima are.
        histograms: values of which a histogram is made.
        rows: values of which rows are kept, about :data:`ROWS` over all samples.
        shifted: values whose int8 codes have a zero point.
        kept: where a pass that is interrupted is kept.
    """
    ranges: dict[str, Range] = {}
    quota = math.ceil(ROWS / max(1, len(samples)))

    def visit(sample: int, name: str, value: Tensor) -> None:
        statistics = ranges.setdefault(name, Range(shifted=name in shifted))
        statistics.update(value, tail_ratio if tails is None or name in tails else 0.0)
        if name in histograms:
            statistics.histogram = statistics.histogram or Histogram()
            statistics.histogram.update(value)
        if name in rows:
            statistics.keep(_spread(value, quota))

    def see(found: Mapping[str, Any]) -> None:
        ranges.update({name: Range.restored(each) for name, each in found.items()})

    keeper = None if kept is None else KeptPass(kept, ranges, see)
    stream(graph, samples, visit, device, progress, rounded=True, keeper=keeper)
    for name, table in input_tables(graph).items():
        ranges[name].update(graph.weights[table].load(), tail_ratio)
    return ranges
