"""LayerNorm to RMSNorm: the residual stream is centred where it is written.

LayerNorm is RMSNorm of the centred row, ``ln(x) = rms(x (I - 11'/n))`` (SliceGPT, Ashkboos et
al. 2024, section 3.2). Every writer of the stream takes ``W <- (I - 11'/n) W`` and
``b <- (I - 11'/n) b``; sums of centred rows are centred, and a rotation passes an RMSNorm.
"""

from __future__ import annotations

from dataclasses import replace

from torch import Tensor

from vlmforge.arithmetic.sums import row_means
from vlmforge.errors import GraphError
from vlmforge.graph.core import Graph, Node, Weight
from vlmforge.graph.flow import rows_joined
from vlmforge.graph.ops import MOVES
from vlmforge.graph.residual import residual
from vlmforge.transform.passes.residual_rotation import require_writers


def centre_residual(graph: Graph) -> Graph:
    """The graph with an RMSNorm in the place of each weightless LayerNorm of the stream.

    A graph whose stream no LayerNorm reads is returned as it is.

    Raises:
        GraphError: something other than a weightless LayerNorm reads the stream, rows of it are
            joined or cut, it enters from outside the graph or leaves it, or a node that is not a
            product writes it.
    """
    stream = residual(graph)
    if not any(node.op == "layer_norm" for node in stream.readers):
        return graph
    for node in stream.readers:
        if node.op != "layer_norm" or node.weights:
            _refuse(node.name, "only weightless LayerNorms may read it; fold norms first")
    for name in stream.inputs:
        _refuse(name, "it is an input, which no product of this graph writes")
    for name in stream.values:
        if graph.nodes[name].op in MOVES and rows_joined(graph, graph.nodes[name]) != 1:
            _refuse(name, "it lays rows side by side, which have a mean each")
    changed: dict[str, Weight] = {}
    for node in require_writers(graph, stream):
        changed |= {n: graph.weights[n].map(_centred) for n in node.weights.values()}
    norms = {node.name for node in stream.readers}
    nodes = [_rms(node) if node.name in norms else node for node in graph.nodes.values()]
    return graph.with_nodes(nodes, changed)


def _centred(tensor: Tensor) -> Tensor:
    """The tensor ``[out, ...]`` less its mean over the output channels."""
    double = tensor.double()
    return (double - row_means(double.movedim(0, -1))).to(tensor.dtype)


def _rms(norm: Node) -> Node:
    return replace(norm, op="rms_norm")


def _refuse(name: str, reason: str) -> None:
    raise GraphError(f"the residual stream cannot be centred: {reason}", where=name)
