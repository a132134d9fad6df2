"""Rotations and scalings of the channels of a value, as changes of the weights around it.

``x' = x R`` for row vectors and an orthogonal ``R``: a product that reads the rotated value
takes ``W R``, one that writes it ``R' W`` and ``b R`` (SpinQuant, Liu et al. 2024, section 3).
``x' = x diag(f)``: one that reads it takes ``W diag(1 / f)``; for one that writes it see
:func:`vlmforge.graph.scaling.scale_output`. Arithmetic is float64, rounded once.
"""

from __future__ import annotations

from torch import Tensor

from vlmforge.arithmetic.products import product as matrix_product
from vlmforge.errors import GraphError
from vlmforge.graph.core import Graph, Node, Weight


def rotate_input(graph: Graph, product: Node, rotation: Tensor) -> dict[str, Weight]:
    """The weights of a linear whose input arrives multiplied by ``rotation`` [n, n].

    A product of k * n input features reads k rotated vectors side by side.

    Raises:
        GraphError: the input features are not whole vectors.
    """
    name = product.weights["weight"]
    _require_whole(product, graph.weights[name].shape[1], len(rotation), "input features")

    def rows(weight: Tensor) -> Tensor:
        vectors = weight.double().unflatten(1, (-1, len(rotation)))
        return matrix_product(vectors, rotation).flatten(1).to(weight.dtype)

    return {name: graph.weights[name].map_rows(rows)}


def rotate_output(graph: Graph, product: Node, rotation: Tensor) -> dict[str, Weight]:
    """The weights of a product whose output leaves multiplied by ``rotation``.

    A product of k * n output channels writes k vectors side by side; they are rotated by one
    matrix ``[n, n]``, or each by its own of ``[k, n, n]``.

    Raises:
        GraphError: the output channels are not whole vectors, or not k.
    """
    channels, size = graph.weights[product.weights["weight"]].shape[0], rotation.shape[-1]
    _require_whole(product, channels, size, "output channels")
    if rotation.dim() == 3 and channels != len(rotation) * size:
        what = f"{len(rotation)} rotations of {size} do not fit its {channels} output channels"
        raise GraphError(what, where=product.name)

    def columns(tensor: Tensor) -> Tensor:
        vectors = tensor.double().reshape(-1, rotation.shape[-1], tensor[0].numel())
        return matrix_product(rotation.mT, vectors).to(tensor.dtype).reshape(tensor.shape)

    return {name: graph.weights[name].map(columns) for name in product.weights.values()}


def scale_input(graph: Graph, product: Node, factor: Tensor) -> dict[str, Weight]:
    """The weights of a linear whose input arrives multiplied by ``factor`` [n], float64.

    A product of k * n input features reads k scaled vectors side by side.

    Raises:
        GraphError: the input features are not whole vectors.
    """
    name = product.weights["weight"]
    _require_whole(product, graph.weights[name].shape[1], len(factor), "input features")

    def rows(weight: Tensor) -> Tensor:
        vectors = weight.double().unflatten(1, (-1, len(factor)))
        return (vectors / factor).flatten(1).to(weight.dtype)

    return {name: graph.weights[name].map_rows(rows)}


def _require_whole(product: Node, channels: int, size: int, what: str) -> None:
    if channels % size:
        raise GraphError(
            f"its {channels} {what} are not whole vectors of {size}", where=product.name
        )
