"""NormConv: scales of a norm's outputs against the products that read them.

``(n / s)(W diag(s))' = n W'`` (SmoothQuant, Xiao et al. 2022, section 4): the norm's gain takes
``1 / s``, the columns of every product that reads it ``s``. It undoes part of norm folding, so
it comes after every rotation of the residual stream.
"""

from __future__ import annotations

from dataclasses import replace

from torch import Tensor

from vlmforge.errors import GraphError
from vlmforge.graph.core import Graph, Node, Weight
from vlmforge.graph.flow import readers
from vlmforge.graph.residual import NORMS
from vlmforge.transform.rotate import scale_input, scale_output
from vlmforge.transform.smoothing import Channels


def norm_channels(graph: Graph) -> dict[str, Channels]:
    """The channels NormConv scales, by the name of the norm.

    Raises:
        GraphError: something that is not a product reads a norm.
    """
    norms = [node for node in graph.nodes.values() if node.op in NORMS]
    return {norm.name: Channels(norm.name, _products(graph, norm)) for norm in norms}


def scale_norms(graph: Graph, scales: dict[str, Tensor]) -> Graph:
    """The graph whose norms' outputs are divided by ``scales`` ``[channels]``, by norm.

    Raises:
        GraphError: something that is not a product reads a norm.
    """
    nodes, changed = dict(graph.nodes), dict(graph.weights)
    for name, channels in norm_channels(graph).items():
        factor = 1 / scales[name].double()
        norm = graph.nodes[name]
        if "weight" not in norm.weights:
            gain = f"{name}.gain"
            changed[gain] = Weight.of(factor.float())
            changed |= scale_output(graph, norm, factor)
            nodes[name] = replace(norm, weights={**norm.weights, "weight": gain})
        else:
            changed |= scale_output(graph, norm, factor)
        for product in channels.readers:
            changed |= scale_input(graph, product, factor)
    return graph.with_nodes(nodes.values(), changed)


def _products(graph: Graph, norm: Node) -> tuple[Node, ...]:
    reading = tuple(readers(graph, norm.name))
    for node in reading:
        if node.op != "linear":
            raise GraphError(f"{norm.name} cannot be scaled: {node.op} reads it", where=node.name)
    if norm.name in graph.outputs:
        raise GraphError("it cannot be scaled: it is an output", where=norm.name)
    return reading
