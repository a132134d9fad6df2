"""Integer biases of products, and the bound they set on the scales of weights."""

from __future__ import annotations

import numpy as np

from vlmforge.graph.core import Graph, Node

LIMITS = {"int8": 2.0**30, "int16": 2.0**46}
"""Largest bias code, by the dtype of the product's input."""

DTYPES = {"int8": np.int32, "int16": np.int64}


def real_bias(graph: Graph, product: Node) -> np.ndarray | None:
    """The product's bias, float64 ``[out]``."""
    bias = graph.weight(product, "bias")
    return None if bias is None else bias.load().double().numpy()


def least_scales(bias: np.ndarray | None, scale: float, code: str) -> np.ndarray | None:
    """The smallest scales of a product's weight whose bias codes fit, float64 ``[out]``.

    Args:
        bias: float64 ``[out]``; without one there is no bound.
        scale: of the product's input.
        code: the dtype of that input's codes.
    """
    return None if bias is None else np.abs(bias) / (scale * LIMITS[code])


def bias_codes(bias: np.ndarray, accumulator: np.ndarray, code: str) -> np.ndarray:
    """The bias in units of the accumulator ``[out]`` of a product that reads ``code``."""
    return np.rint(bias / accumulator).astype(DTYPES[code])
