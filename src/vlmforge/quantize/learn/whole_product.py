"""WholeProduct: a product as the program computes it, on codes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from vlmforge.arithmetic.whole import MOST_FEATURES, whole_product
from vlmforge.graph.core import Graph, Node
from vlmforge.quantize.scales.choice import LIMITS, Scales
from vlmforge.quantize.weights.bias import bias_codes
from vlmforge.quantize.weights.formats import QuantizedWeight
from vlmforge.quantize.weights.packed import PackedWeight


@dataclass(frozen=True)
class WholeProduct:
    """The sums of a program's product, which are exact, times their scale.

    Attributes:
        weight: packed.
        multiplier: float32 ``[out]``, what a sum of 1 stands for.
        bias: int64 ``[out]``, if there is one.
    """

    weight: PackedWeight
    multiplier: np.ndarray
    bias: np.ndarray | None

    @staticmethod
    def of(
        graph: Graph,
        product: Node,
        weight: QuantizedWeight,
        codes: Mapping[str, str],
        scales: Scales,
    ) -> WholeProduct | None:
        """The product of a graph with a quantized weight; None where its input has no codes."""
        name, bias = product.inputs[0], graph.weight(product, "bias")
        if codes[name] not in LIMITS or weight.codes.shape[1] > MOST_FEATURES:
            return None
        scale, zero_point = scales.through_moves(graph, name), scales.zero_point(graph, name)
        real = None if bias is None else bias.load().double().numpy()
        integers = bias_codes(real, weight, scale, zero_point, codes[name])
        return WholeProduct(
            PackedWeight.of(weight),
            (scale * weight.scales).astype(np.float32),
            None if integers is None else integers.astype(np.int64),
        )

    def __call__(self, x: Tensor) -> Tensor:
        """The real output, float32 ``[rows, out]``, of codes ``[rows, in]``."""
        weight = self.weight
        given = weight.codes, weight.group_scale, weight.group
        return whole_product(x, *given, self.multiplier, self.bias)
