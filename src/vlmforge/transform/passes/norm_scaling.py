"""NormConv: scales of a norm's outputs against the products that read them.

``(n / s)(W diag(s))' = n W'`` (SmoothQuant, Xiao et al. 2022, section 4): the norm's gain takes
``1 / s``, the columns of every product that reads it ``s``. It undoes part of norm folding, so
it comes after every rotation of the residual stream.
"""

from __future__ import annotations

from torch import Tensor

from vlmforge.errors import GraphError
from vlmforge.graph.core import Graph, Node, Weight
from vlmforge.graph.flow import is_output, row_readers
from vlmforge.graph.ops import NORMS
from vlmforge.graph.scaling import multiply_norms
from vlmforge.transform.choose.smoothing import Channels
from vlmforge.transform.rotate import scale_input


def norm_channels(graph: Graph) -> dict[str, Channels]:
    """The channels NormConv scales, by the name of the norm.

    Raises:
        GraphError: something that is not a product reads a norm or cuts its rows, or the caller
            receives them.
    """
    norms = [node for node in graph.nodes.values() if node.op in NORMS]
    return {norm.name: Channels(norm.name, _products(graph, norm)) for norm in norms}


def scale_norms(graph: Graph, scales: dict[str, Tensor]) -> Graph:
    """The graph whose norms' outputs are divided by ``scales`` ``[channels]``, by norm.

    Raises:
        GraphError: something that is not a product reads a norm or cuts its rows, or the caller
            receives them.
    """
    factors = {name: 1 / each.double() for name, each in scales.items()}
    changed: dict[str, Weight] = {}
    for name, channels in norm_channels(graph).items():
        for product in channels.readers:
            changed |= scale_input(graph, product, factors[name])
    return multiply_norms(graph.with_weights(changed), factors)


def _products(graph: Graph, norm: Node) -> tuple[Node, ...]:
    reading = tuple(row_readers(graph, norm.name))
    for node in reading:
        if node.op != "linear":
            raise GraphError(f"{norm.name} cannot be scaled: {node.op} reads it", where=node.name)
    if is_output(graph, norm.name):
        raise GraphError("it cannot be scaled: it is an output", where=norm.name)
    return reading
