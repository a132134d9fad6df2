"""Observes the range of every value over the calibration samples.

The graph runs segment by segment: a segment's weights are read once, every sample passes
through it, and only the values later segments read are kept. Memory is bounded by one segment
and the samples' live values, whatever the size of the model.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from vlmforge.graph.core import Graph, Node, Weight
from vlmforge.graph.evaluate import apply, last_uses

SEGMENT_BYTES = 64 << 20
"""Float bytes of the weights held at once, unless a single node needs more."""

Progress = Callable[[str, int, int], None]


@dataclass
class Range:
    """Statistics of one value.

    Attributes:
        tail: the largest absolute values seen, at least the share ``1 - percentile`` of all.
        count: how many elements were seen.
        channels: largest absolute value of each channel (last dimension).
    """

    tail: Tensor = field(default_factory=lambda: torch.empty(0))
    count: int = 0
    channels: Tensor | None = None

    def update(self, value: Tensor, tail_ratio: float) -> None:
        """Take in one sample's value; ``tail_ratio`` of its elements are kept."""
        size = value.abs()
        kept = max(1, int(size.numel() * tail_ratio))
        top = size.flatten().topk(kept).values if kept > 1 else size.max().reshape(1)
        self.tail = torch.cat([self.tail, top.cpu()])
        self.count += size.numel()
        channels = size.flatten(0, -2).amax(0).cpu()
        self.channels = channels if self.channels is None else self.channels.maximum(channels)

    def bound(self, percentile: float = 1.0) -> float:
        """The absolute value that the share ``percentile`` of all elements does not exceed."""
        beyond = int(self.count * (1.0 - percentile))
        ordered = self.tail.sort(descending=True).values
        return ordered[min(beyond, len(ordered) - 1)].item()


def observe(
    graph: Graph,
    samples: Sequence[Callable[[], Mapping[str, Tensor]]],
    tail_ratio: float = 0.0,
    device: str = "cpu",
    progress: Progress | None = None,
) -> dict[str, Range]:
    """The range of every float value that some node reads.

    Args:
        graph: the transformed graph.
        samples: each gives the feeds of one sample; called once.
        tail_ratio: share of each sample's elements kept for percentiles, 0 for maxima only.
        device: where to compute.
        progress: called with a text, the segments done and all segments.
    """
    live = [{name: t.to(device) for name, t in load().items()} for load in samples]
    ranges = {name: Range() for name, value in graph.inputs.items() if value.dtype == "float32"}
    for values in live:
        for name, statistics in ranges.items():
            statistics.update(values[name], tail_ratio)
    wanted = [node for node in graph.nodes.values() if graph.consumers(node.name)]
    ends = last_uses(graph)
    position = {name: i for i, name in enumerate(graph.nodes)}
    parts = list(segments(graph, wanted))
    for done, nodes in enumerate(parts):
        held = _held(graph, nodes, device)
        for values in live:
            for node in nodes:
                values[node.name] = apply(held, node, values)
                ranges.setdefault(node.name, Range()).update(values[node.name], tail_ratio)
                for name in node.inputs:
                    if ends[name] == position[node.name]:
                        values.pop(name, None)
        del held
        if progress is not None:
            progress(f"observing the {graph.component} model", done + 1, len(parts))
    return ranges


def segments(graph: Graph, nodes: Sequence[Node]) -> Iterator[list[Node]]:
    """Cut the nodes into runs whose weights fit :data:`SEGMENT_BYTES`."""
    part: list[Node] = []
    size = 0
    for node in nodes:
        needed = sum(_bytes(graph.weights[name]) for name in node.weights.values())
        if part and size + needed > SEGMENT_BYTES:
            yield part
            part, size = [], 0
        part.append(node)
        size += needed
    if part:
        yield part


def _held(graph: Graph, nodes: Sequence[Node], device: str) -> Graph:
    names = {name for node in nodes for name in node.weights.values()}
    loaded = {name: Weight.of(graph.weights[name].load().to(device)) for name in names}
    return graph.with_weights(loaded)


def _bytes(weight: Weight) -> int:
    return 4 * torch.Size(weight.shape).numel()
