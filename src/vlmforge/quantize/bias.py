"""Integer biases of products, and the bound they set on the scales of weights."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from vlmforge.graph.core import Graph, Node
from vlmforge.quantize.scales import Scales

LIMITS = {"int8": 2.0**30, "int16": 2.0**46}
"""Largest bias code, by the dtype of the product's input."""

DTYPES = {"int8": np.int32, "int16": np.int64}


def real_bias(graph: Graph, product: Node) -> np.ndarray | None:
    """The product's bias, float64 ``[out]``."""
    bias = graph.weight(product, "bias")
    return None if bias is None else bias.load().double().numpy()


def least_scales(
    graph: Graph, product: Node, codes: Mapping[str, str], scales: Scales
) -> np.ndarray | None:
    """The smallest scales of the product's weight whose bias codes fit, float64 ``[out]``."""
    bias, name = real_bias(graph, product), product.inputs[0]
    if bias is None:
        return None
    return np.abs(bias) / (scales.through_moves(graph, name) * LIMITS[codes[name]])


def bias_codes(bias: np.ndarray, accumulator: np.ndarray, code: str) -> np.ndarray:
    """The bias in units of the accumulator ``[out]`` of a product that reads ``code``."""
    return np.rint(bias / accumulator).astype(DTYPES[code])
