"""Runs a graph over many samples in bounded memory.

The graph runs segment by segment: a segment's weights are read once, every sample passes
through it, and only the values later segments read are kept. Memory is bounded by one segment
and the samples' live values, whatever the size of the model. Where many samples would have to keep
wide values, such as the gates of an MLP, a segment goes on, to the narrow ones between two layers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Protocol

from torch import Tensor

from vlmforge.dims import Shape
from vlmforge.graph.core import Graph, Node, Weight
from vlmforge.graph.evaluate import apply, last_uses
from vlmforge.progress import Progress

SEGMENT_BYTES = 64 << 20
"""Float bytes of the weights held at once, unless a single node needs more, or less is kept so."""

Feeds = Callable[[], Mapping[str, Tensor]]
Visit = Callable[[int, str, Tensor], None]
Live = list[dict[str, Tensor]]
"""The values of each sample that are read later."""


class Keeper(Protocol):
    """Keeps how far samples have come, so that they need not begin anew."""

    def found(self) -> tuple[int, Live] | None:
        """How many segments are done, and what lives after them; None to begin anew."""
        ...

    def keep(self, done: int, live: Live, *, last: bool) -> None:
        """Told after every segment how many are done; ``last`` if all are."""
        ...


def stream(
    graph: Graph,
    samples: Sequence[Feeds],
    visit: Visit,
    device: str = "cpu",
    progress: Progress | None = None,
    doing: str = "observing",
    *,
    rounded: bool = False,
    keeper: Keeper | None = None,
) -> None:
    """Call ``visit(sample, name, value)`` for every float input and every value some node reads.

    Args:
        graph: a verified graph.
        samples: each gives the feeds of one sample; called once.
        visit: sees the samples in order for one value after the other of a segment.
        device: where to compute.
        progress: called with a text, the segments done and all segments.
        doing: the verb of that text.
        rounded: whether products are those of numbers rounded to bfloat16.
        keeper: goes on where it was interrupted; what was visited before is not visited again.
    """
    live = [{name: t.to(device) for name, t in load().items()} for load in samples]
    floats = [name for name, value in graph.inputs.items() if value.dtype == "float32"]
    wanted = [node for node in graph.nodes.values() if graph.consumers(node.name)]
    ends = last_uses(graph)
    position = {name: i for i, name in enumerate(graph.nodes)}
    rows = sum(max(_rows(values[name]) for name in floats) for values in live)
    parts = list(segments(graph, wanted, rows))
    start = 0
    if keeper is not None and (place := keeper.found()) is not None:
        start = place[0]
        live = [{name: t.to(device) for name, t in each.items()} for each in place[1]]
    else:
        for sample, values in enumerate(live):
            for name in floats:
                visit(sample, name, values[name])
    for done, nodes in enumerate(parts[start:], start=start + 1):
        held = with_loaded(graph, nodes, device)
        for sample, values in enumerate(live):
            for node in nodes:
                values[node.name] = apply(held, node, values, rounded=rounded)
                visit(sample, node.name, values[node.name])
                for name in node.inputs:
                    if ends[name] == position[node.name]:
                        values.pop(name, None)
        del held
        if keeper is not None:
            keeper.keep(done, live, last=done == len(parts))
        if progress is not None:
            progress(f"{doing} the {graph.component} model", done, len(parts))


def segments(graph: Graph, nodes: Sequence[Node], rows: int) -> Iterator[list[Node]]:
    """Cut the nodes into runs whose weights fit :data:`SEGMENT_BYTES`.

    A run is longer where the samples would keep more at its end than its weights take, beyond what
    they keep at the narrowest place.

    Args:
        graph: of the nodes.
        nodes: those that run, in topological order.
        rows: of all samples together.
    """
    kept = _kept_bytes(graph, nodes, rows)
    least = min(kept[:-1], default=0)
    part: list[Node] = []
    size = 0
    for node, before in zip(nodes, [0, *kept], strict=False):
        needed = sum(graph.weights[name].float_bytes for name in node.weights.values())
        if part and size + needed > SEGMENT_BYTES and before - least <= size + needed:
            yield part
            part, size = [], 0
        part.append(node)
        size += needed
    if part:
        yield part


def _kept_bytes(graph: Graph, nodes: Sequence[Node], rows: int) -> list[int]:
    """About the bytes of all samples' values that are read after each of some nodes."""
    last = {name: at for at, node in enumerate(nodes) for name in node.inputs}
    width = {name: _width(graph.value(name).shape) for name in last}
    held, kept = sum(width[name] for name in graph.inputs if name in last), []
    for at, node in enumerate(nodes):
        held += width.get(node.name, 0)
        held -= sum(width[name] for name in set(node.inputs) if last[name] == at)
        kept.append(4 * rows * held)
    return kept


def _rows(value: Tensor) -> int:
    return value.numel() // max(1, value.shape[-1])


def _width(shape: Shape) -> int:
    """Elements of a row."""
    return shape[-1] if shape and isinstance(shape[-1], int) else 1


def with_loaded(graph: Graph, nodes: Sequence[Node], device: str = "cpu") -> Graph:
    """The graph with the weights of some nodes in memory."""
    names = {name for node in nodes for name in node.weights.values()}
    loaded = {name: Weight.of(graph.weights[name].load().to(device)) for name in names}
    return graph.with_weights(loaded)
