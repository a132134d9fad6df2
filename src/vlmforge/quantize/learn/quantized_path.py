"""The calibration samples on their way through the part of a model that is already quantized.

Values are held as the codes that the program will hold, and products use the weights that it will
use. Where the machine that runs programs is built, their sums are those of the program; all other
arithmetic is float32. So the values follow those of an integer machine without being equal to them
bit for bit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

import torch
from torch import Tensor

from vlmforge.arithmetic.kernels import has_order
from vlmforge.graph.core import Graph, Node, Weight
from vlmforge.graph.evaluate import apply, last_uses, patches
from vlmforge.graph.ops import MOVES
from vlmforge.graph.stream import Feeds
from vlmforge.quantize.learn.whole_product import WholeProduct
from vlmforge.quantize.scales.choice import Scales
from vlmforge.quantize.scales.grid import Grid, grids
from vlmforge.quantize.weights.formats import QuantizedWeight

Operation = Callable[[Mapping[str, Tensor]], Tensor]


class QuantizedPath:
    """Samples that advance through a graph as far as somebody asks.

    Products are settled one by one, in the order of the graph. Nodes run when the input of a
    product is asked for: all those since the last time, sample after sample, so that what is held
    is one sample's values and, of the others, only the codes of what is read later.
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
        self._graph, self._codes, self._scales, self.device = graph, codes, scales, device
        self._grids = grids(graph, codes, scales, device)
        self._nodes = list(graph.nodes.values())
        self._position = {node.name: i for i, node in enumerate(self._nodes)}
        self._ends = last_uses(graph)
        self._reached = 0
        self._settled: dict[str, QuantizedWeight] = {}
        self._live = [
            {name: self._coded(name, value.to(device)) for name, value in load().items()}
            for load in samples
        ]

    def grid(self, product: Node) -> Grid | None:
        """What the codes of a product's input stand for; None where it has none."""
        return self._grid(product.inputs[0])

    def rows(self, product: Node) -> Iterator[Tensor]:
        """The rows ``[rows, in]`` the product reads, sample by sample, after running up to it.

        They are codes where the input has a :meth:`grid`. Every product before it must have been
        settled.
        """
        name = product.inputs[0]
        if any(name not in values for values in self._live):
            self.advance(product)
        for values in self._live:
            yield self._operand(product, values[name])

    def reach(self, node: Node) -> Sequence[Mapping[str, Tensor]]:
        """Run up to a node; of every sample, the values that it and those after it read.

        Every product before it must have been settled.
        """
        self.advance(node)
        return [{name: self._real(name, x) for name, x in each.items()} for each in self._live]

    @property
    def live(self) -> Sequence[Mapping[str, Tensor]]:
        """Of every sample, the values that are read later, as codes where they have some."""
        return self._live

    def stands_at(self, node: Node) -> bool:
        """Whether the samples have come up to a node, and not further."""
        return self._reached == self._position[node.name]

    def resume(self, node: Node, live: Sequence[Mapping[str, Tensor]]) -> None:
        """Stand at a node, with the values that :attr:`live` gave there."""
        self._reached = self._position[node.name]
        self._live = [{n: x.to(self.device) for n, x in each.items()} for each in live]
        self._settled.clear()

    def settle(self, product: Node, weight: QuantizedWeight) -> None:
        """From now on the product uses ``weight``."""
        self._settled[product.name] = weight

    @torch.no_grad()
    def advance(self, node: Node) -> None:
        """Run up to a node, before which every product must have been settled."""
        stop = self._position[node.name]
        nodes = [each for each in self._nodes[self._reached : stop] if self._is_read(each)]
        operations = [(each, self._operation(each)) for each in nodes]
        for values in self._live:
            for each, operation in operations:
                values[each.name] = operation(values)
                for name in each.inputs:
                    if self._ends[name] == self._position[each.name]:
                        values.pop(name, None)
        self._reached = stop
        self._settled.clear()

    def _is_read(self, node: Node) -> bool:
        return self._ends.get(node.name, len(self._nodes)) < len(self._nodes)

    def _operation(self, node: Node) -> Operation:
        """Gives the node's codes, or its real value where it has none."""
        product = self._whole(node)
        if product is not None:
            return lambda values: self._coded(
                node.name, product(self._operand(node, values[node.inputs[0]]))
            )
        held = self._held(node)
        if node.op in MOVES:
            return lambda values: apply(held, node, values)
        return lambda values: self._coded(node.name, apply(held, node, self._reals(node, values)))

    def _whole(self, node: Node) -> WholeProduct | None:
        """The settled product on codes, where it can be computed so."""
        weight = self._settled.get(node.name)
        if weight is None or not has_order(self.device):
            return None
        return WholeProduct.of(self._graph, node, weight, self._codes, self._scales)

    def _held(self, node: Node) -> Graph:
        """The graph with this node's weights in memory."""
        loaded = {}
        for role, name in node.weights.items():
            weight, settled = self._graph.weights[name], self._settled.get(node.name)
            if role == "weight" and settled is not None:
                real = settled.dequantized().reshape(weight.shape)
            else:
                real = weight.load()
            loaded[name] = Weight.of(real.to(self.device))
        return self._graph.with_weights(loaded)

    def _operand(self, product: Node, x: Tensor) -> Tensor:
        """The rows of a product's input."""
        if product.op != "conv2d":
            return x
        return patches(x, *self._graph.weights[product.weights["weight"]].shape[1:3])

    def _grid(self, name: str) -> Grid | None:
        while name in self._graph.nodes and self._graph.nodes[name].op in MOVES:
            name = self._graph.nodes[name].inputs[0]
        return self._grids.get(name)

    def _coded(self, name: str, value: Tensor) -> Tensor:
        return self._grids[name].codes(value) if name in self._grids else value

    def _real(self, name: str, value: Tensor) -> Tensor:
        grid = self._grid(name)
        return value if grid is None else grid.real(value)

    def _reals(self, node: Node, values: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        return {name: self._real(name, values[name]) for name in node.inputs} or values
