"""FloatOutputs: what the float model gives for every sample."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from vlmforge.graph.core import Graph
from vlmforge.graph.evaluate import apply
from vlmforge.graph.stream import Feeds, stream, with_loaded
from vlmforge.progress import Progress


class FloatOutputs:
    """The first output of a graph; what its node reads is kept, and the output made when asked.

    So logits of a large vocabulary are held for one sample at a time.
    """

    def __init__(
        self,
        graph: Graph,
        samples: Sequence[Feeds],
        device: str = "cpu",
        progress: Progress | None = None,
    ) -> None:
        """Runs the graph over all samples, segment by segment."""
        self._last = graph.nodes[graph.outputs[0]]
        self._graph, self._device = with_loaded(graph, [self._last], device), device
        self._inputs: list[dict[str, Tensor]] = [{} for _ in samples]

        def visit(sample: int, name: str, value: Tensor) -> None:
            if name in self._last.inputs:
                self._inputs[sample][name] = value.cpu()

        stream(graph, samples, visit, device, progress, "running")

    def of(self, sample: int) -> Tensor:
        """The output of one sample, on the device."""
        inputs = {name: t.to(self._device) for name, t in self._inputs[sample].items()}
        return apply(self._graph, self._last, inputs)
