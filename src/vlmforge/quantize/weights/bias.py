"""Integer biases of products, and the bound they set on the scales of weights.

A product of codes with a zero point ``z`` takes it back by its bias: ``W (c - z) = W c - z W 1``.
One that makes keys takes away their centres with it.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from vlmforge.arithmetic.sums import row_sums
from vlmforge.graph.core import Graph, Node
from vlmforge.quantize.scales.choice import Scales
from vlmforge.quantize.weights.formats import QuantizedWeight

LIMITS = {"int8": 2.0**30, "int16": 2.0**46}
"""Largest bias code, by the dtype of the product's input."""

DTYPES = {"int8": np.int32, "int16": np.int64}


def real_bias(graph: Graph, product: Node, scales: Scales) -> np.ndarray | None:
    """The product's bias less the centres of its output, float64 ``[out]``, if it has either."""
    weight, centre = graph.weight(product, "bias"), scales.centres.get(product.name)
    bias = None if weight is None else weight.load().double().numpy()
    if centre is None:
        return bias
    return -centre if bias is None else bias - centre


def least_scales(
    graph: Graph,
    product: Node,
    bias: np.ndarray | None,
    codes: Mapping[str, str],
    scales: Scales,
) -> np.ndarray | None:
    """The smallest scales of a product's weight whose bias codes fit, float64 ``[out]``.

    None, no bound, where it has no :func:`real_bias` and its input no zero point.
    """
    name, size = product.inputs[0], None if bias is None else np.abs(bias)
    scale, zero_point = scales.through_moves(graph, name), scales.zero_point(graph, name)
    if zero_point:
        weight = graph.weights[product.weights["weight"]].load().flatten(1)
        shift = np.abs(scale * zero_point * row_sums(weight.double()).numpy())
        size = shift if size is None else size + shift
    return None if size is None else size / (scale * LIMITS[codes[name]])


def bias_codes(
    bias: np.ndarray | None, weight: QuantizedWeight, scale: float, zero_point: int, code: str
) -> np.ndarray | None:
    """The bias ``[out]`` in units of the accumulator, if there is one.

    Args:
        bias: float64 ``[out]``, or None.
        weight: of the product.
        scale: of the product's input.
        zero_point: of that input.
        code: the dtype of that input's codes.
    """
    if bias is None and not zero_point:
        return None
    real = np.zeros(len(weight.scales)) if bias is None else bias
    codes = np.rint(real / (scale * weight.scales))
    if zero_point:
        codes -= zero_point * weight.row_sums()
    return codes.astype(DTYPES[code])
