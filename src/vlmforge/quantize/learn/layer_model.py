"""LayerModel: a layer of a quantized component, differentiable in the codes of its weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from vlmforge.graph.core import Graph, Node
from vlmforge.graph.evaluate import run_nodes
from vlmforge.graph.ops import PRODUCTS
from vlmforge.quantize.learn.imitation import Imitation
from vlmforge.quantize.learn.straight_through import whole_codes
from vlmforge.quantize.scales.grid import Grid
from vlmforge.quantize.weights.formats import QuantizedWeight

WITHIN = 0.45
"""How far at first a real code may be from the integer it stands for."""


class LayerModel(Imitation):
    """Some nodes as the integer program computes them, but for float arithmetic.

    A real code stands for the nearest integer. It begins as what the float weight is in units of
    its scale, held near the integer that rounding chose: a code that was a close call turns first.

    Attributes:
        codes: real codes of the weights that can be learned, those of four bits, by product;
            float32 ``[out, in]``.
    """

    def __init__(
        self,
        graph: Graph,
        nodes: Sequence[Node],
        weights: Mapping[str, QuantizedWeight],
        grids: Mapping[str, Grid],
        dtype: torch.dtype,
        device: str = "cpu",
    ) -> None:
        """``nodes`` are linear products and others; products are computed in ``dtype``."""
        super().__init__(graph, nodes, grids, device)
        products = [node for node in nodes if node.op in PRODUCTS]
        self._nodes, self._dtype = nodes, dtype
        self._weights = {node.name: weights[node.name] for node in products}
        self._scales = {n: w.real_scales().to(device) for n, w in self._weights.items()}
        self.codes: dict[str, Tensor] = {}
        self._fixed: dict[str, Tensor] = {}
        for node in products:
            if self._weights[node.name].bits == 4:
                real = graph.weights[node.weights["weight"]].load().to(device)
                self.codes[node.name] = self._real_codes(node.name, real)
            else:
                self._fixed[node.name] = self._weights[node.name].dequantized().to(device)

    def run(self, values: Mapping[str, Tensor]) -> Tensor:
        """The last node's value, given those the nodes read."""
        return run_nodes(self._nodes, values, self._value)

    def weights(self) -> dict[str, QuantizedWeight]:
        """The learned weights, by product."""
        found = {}
        for name, codes in self.codes.items():
            weight = self._weights[name]
            found[name] = weight.with_codes(whole_codes(codes.detach(), weight.range))
        return found

    def _real_codes(self, name: str, real: Tensor) -> Tensor:
        codes = torch.from_numpy(self._weights[name].codes).float().to(real.device)
        return codes + (real / self._scales[name] - codes).clamp_(-WITHIN, WITHIN)

    def _weight(self, name: str) -> Tensor:
        if name in self._fixed:
            return self._fixed[name]
        return whole_codes(self.codes[name], self._weights[name].range) * self._scales[name]

    def _product(self, node: Node, x: Tensor) -> Tensor:
        weight = self._weight(node.name)
        return F.linear(x.to(self._dtype), weight.to(self._dtype)).float()
