"""NormConv: scales of a norm's outputs against the products that read them.

``(n / s)(W diag(s))' = n W'`` (SmoothQuant, Xiao et al. 2022, section 4): the norm's gain takes
``1 / s``, the columns of every product that reads it ``s``. It undoes part of norm folding, so
it comes after every rotation of the residual stream.
"""

from __future__ import annotations

from torch import Tensor

from vlmforge.errors import GraphError
from vlmforge.graph.core import Graph, Node, Weight
from vlmforge.graph.flow import is_output, readers, row_readers
from vlmforge.graph.ops import NORMS, PRODUCTS
from vlmforge.graph.scaling import multiply_norms
from vlmforge.transform.blocks import Aside, each_part
from vlmforge.transform.choose.smoothing import Channels
from vlmforge.transform.rotate import scale_input


def norm_channels(graph: Graph, aside: Aside | None = None) -> dict[str, Channels]:
    """The channels NormConv scales, by the name of the norm.

    Norms that no product reads are passed over: those of queries and keys.

    Args:
        graph: to look at.
        aside: takes what stands in the way of a norm, which is then passed over.

    Raises:
        GraphError: something that is not a product reads a norm or cuts its rows, or the caller
            receives them.
    """
    norms = [node for node in graph.nodes.values() if node.op in NORMS]
    scaled = [norm for norm in norms if _read_by_product(graph, norm)]
    found = each_part(graph, scaled, _channels, aside)
    return {each.value: each for each in found}


def scale_norms(graph: Graph, scales: dict[str, Tensor]) -> Graph:
    """The graph whose norms' outputs are divided by ``scales`` ``[channels]``, by norm.

    The columns undo what a gain of float32 holds, not what it was rounded from.
    """
    factors = {name: (1 / each.double()).float().double() for name, each in scales.items()}
    changed: dict[str, Weight] = {}
    for name, channels in norm_channels(graph, {}).items():
        for product in channels.readers:
            changed |= scale_input(graph, product, factors[name])
    return multiply_norms(graph.with_weights(changed), factors)


def _read_by_product(graph: Graph, norm: Node) -> bool:
    return any(node.op in PRODUCTS for node in readers(graph, norm.name))


def _channels(graph: Graph, norm: Node) -> Channels:
    reading = tuple(row_readers(graph, norm.name))
    for node in reading:
        if node.op != "linear":
            raise GraphError(f"{norm.name} cannot be scaled: {node.op} reads it", where=node.name)
    if is_output(graph, norm.name):
        raise GraphError("it cannot be scaled: it is an output", where=norm.name)
    return Channels(norm.name, reading)
