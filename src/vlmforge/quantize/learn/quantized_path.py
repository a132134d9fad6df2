"""The calibration samples on their way through the part of a model that is already quantized.

Values are rounded to the codes the program will hold, and products use the weights the program
will use. Arithmetic between is float32, so the values follow those of an integer machine without
being equal to them bit for bit.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import torch
from torch import Tensor

from vlmforge.graph.core import Graph, Node, Weight
from vlmforge.graph.evaluate import apply, last_uses, patches
from vlmforge.graph.stream import Feeds
from vlmforge.quantize.scales.choice import Scales
from vlmforge.quantize.scales.grid import grids


class QuantizedPath:
    """Samples that advance through a graph as far as somebody asks.

    Products are settled one by one, in the order of the graph. Nodes run when the input of a
    product is asked for: all those since the last time, sample after sample, so that what is held
    is one sample's values and, of the others, only what is read later.
    """

    def __init__(
        self,
        graph: Graph,
        codes: Mapping[str, str],
        scales: Scales,
        samples: Sequence[Feeds],
        device: str = "cpu",
    ) -> None:
        """Each of ``samples`` gives the feeds of one sample, and is called once."""
        self._graph, self._device = graph, device
        self._grids = grids(graph, codes, scales, device)
        self._nodes = list(graph.nodes.values())
        self._position = {node.name: i for i, node in enumerate(self._nodes)}
        self._ends = last_uses(graph)
        self._reached = 0
        self._settled: dict[str, Weight] = {}
        self._live = [
            {name: self._rounded(name, value.to(device)) for name, value in load().items()}
            for load in samples
        ]

    def rows(self, product: Node) -> Iterator[Tensor]:
        """The rows ``[rows, in]`` the product reads, sample by sample, after running up to it.

        Every product before it must have been settled.
        """
        name = product.inputs[0]
        if any(name not in values for values in self._live):
            self._run_to(self._position[product.name])
        weight = self._graph.weights[product.weights["weight"]]
        for values in self._live:
            x = values[name]
            yield patches(x, *weight.shape[1:3]) if product.op == "conv2d" else x

    def reach(self, node: Node) -> Sequence[Mapping[str, Tensor]]:
        """Run up to a node; of every sample, the values that it and those after it read.

        Every product before it must have been settled.
        """
        self._run_to(self._position[node.name])
        return self._live

    def settle(self, product: Node, weight: Tensor) -> None:
        """From now on the product uses ``weight``, float32 ``[out, in]``."""
        shape = self._graph.weights[product.weights["weight"]].shape
        self._settled[product.name] = Weight.of(weight.reshape(shape).to(self._device))

    @torch.no_grad()
    def _run_to(self, stop: int) -> None:
        nodes = [node for node in self._nodes[self._reached : stop] if self._is_read(node)]
        held = {node.name: self._held(node) for node in nodes}
        for values in self._live:
            for node in nodes:
                value = apply(held[node.name], node, values)
                values[node.name] = self._rounded(node.name, value)
                for name in node.inputs:
                    if self._ends[name] == self._position[node.name]:
                        values.pop(name, None)
        self._reached = stop
        self._settled.clear()

    def _is_read(self, node: Node) -> bool:
        return self._ends.get(node.name, len(self._nodes)) < len(self._nodes)

    def _held(self, node: Node) -> Graph:
        """The graph with this node's weights in memory."""
        loaded = {}
        for role, name in node.weights.items():
            settled = self._settled.get(node.name) if role == "weight" else None
            loaded[name] = settled or Weight.of(self._graph.weights[name].load().to(self._device))
        return self._graph.with_weights(loaded)

    def _rounded(self, name: str, value: Tensor) -> Tensor:
        return self._grids[name].round(value) if name in self._grids else value
