"""Rotations of weights: ``x' = x R`` for row vectors and an orthogonal ``R``.

A product that reads the rotated value takes ``W R``, one that writes it ``R^T W`` and
``b R`` (SpinQuant, Liu et al. 2024, section 3). Arithmetic is float64.
"""

from __future__ import annotations

import torch
from torch import Tensor

from vlmforge.graph.core import Graph, Node, Weight


def rotate_input(graph: Graph, product: Node, rotation: Tensor) -> dict[str, Weight]:
    """The weights of a linear whose input arrives multiplied by ``rotation`` [in, in]."""
    name = product.weights["weight"]

    def rows(weight: Tensor) -> Tensor:
        return (weight.double() @ rotation).float()

    return {name: graph.weights[name].map_rows(rows)}


def rotate_output(graph: Graph, product: Node, rotation: Tensor) -> dict[str, Weight]:
    """The weights of a linear whose output leaves multiplied by ``rotation`` [out, out]."""

    def columns(tensor: Tensor) -> Tensor:
        return (rotation.T @ tensor.double()).float()

    return {name: graph.weights[name].map(columns) for name in product.weights.values()}


def block_diagonal(block: Tensor, copies: int) -> Tensor:
    """``block`` repeated ``copies`` times along the diagonal."""
    return torch.block_diag(*[block] * copies)
