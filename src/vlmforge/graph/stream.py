"""Runs a graph over many samples in bounded memory.

The graph runs segment by segment: a segment's weights are read once, every sample passes
through it, and only the values later segments read are kept. Memory is bounded by one segment
and the samples' live values, whatever the size of the model.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

import torch
from torch import Tensor

from vlmforge.graph.core import Graph, Node, Weight
from vlmforge.graph.evaluate import apply, last_uses
from vlmforge.progress import Progress

SEGMENT_BYTES = 64 << 20
"""Float bytes of the weights held at once, unless a single node needs more."""

Feeds = Callable[[], Mapping[str, Tensor]]
Visit = Callable[[int, str, Tensor], None]


def stream(
    graph: Graph,
    samples: Sequence[Feeds],
    visit: Visit,
    device: str = "cpu",
    progress: Progress | None = None,
    doing: str = "observing",
) -> None:
    """Call ``visit(sample, name, value)`` for every float input and every value some node reads.

    Args:
        graph: a verified graph.
        samples: each gives the feeds of one sample; called once.
        visit: sees the samples in order for one value after the other of a segment.
        device: where to compute.
        progress: called with a text, the segments done and all segments.
        doing: the verb of that text.
    """
    live = [{name: t.to(device) for name, t in load().items()} for load in samples]
    floats = [name for name, value in graph.inputs.items() if value.dtype == "float32"]
    for sample, values in enumerate(live):
        for name in floats:
            visit(sample, name, values[name])
    wanted = [node for node in graph.nodes.values() if graph.consumers(node.name)]
    ends = last_uses(graph)
    position = {name: i for i, name in enumerate(graph.nodes)}
    parts = list(segments(graph, wanted))
    for done, nodes in enumerate(parts):
        held = with_loaded(graph, nodes, device)
        for sample, values in enumerate(live):
            for node in nodes:
                values[node.name] = apply(held, node, values)
                visit(sample, node.name, values[node.name])
                for name in node.inputs:
                    if ends[name] == position[node.name]:
                        values.pop(name, None)
        del held
        if progress is not None:
            progress(f"{doing} the {graph.component} model", done + 1, len(parts))


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


def with_loaded(graph: Graph, nodes: Sequence[Node], device: str = "cpu") -> Graph:
    """The graph with the weights of some nodes in memory."""
    names = {name for node in nodes for name in node.weights.values()}
    loaded = {name: Weight.of(graph.weights[name].load().to(device)) for name in names}
    return graph.with_weights(loaded)


def _bytes(weight: Weight) -> int:
    return 4 * torch.Size(weight.shape).numel()
