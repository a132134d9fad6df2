"""R1: one rotation of the whole residual stream (SpinQuant, Liu et al. 2024, section 3.1).

What enters the graph as part of the stream arrives rotated, every product that writes the
stream rotates its output, and every product behind a weightless RMSNorm undoes the rotation,
since ``rms(x R) = rms(x) R``; so does a LayerNorm, if the rotation keeps the mean. A vision
encoder's stream begins with its patch embedding, a product, so the whole rotation stays inside.
"""

from __future__ import annotations

from collections.abc import Iterable

from torch import Tensor

from vlmforge.arithmetic.products import product as matrix_product
from vlmforge.errors import GraphError
from vlmforge.graph.core import Graph, Node, Weight
from vlmforge.graph.flow import is_output, row_readers
from vlmforge.graph.ops import NORMS, PRODUCTS
from vlmforge.graph.residual import Residual, residual
from vlmforge.graph.tables import input_tables
from vlmforge.transform.mean_keeping import keeps_mean
from vlmforge.transform.rotate import rotate_input, rotate_output


def rotate_residual(graph: Graph, rotation: Tensor) -> Graph:
    """The graph over a rotated residual stream, with the same outputs.

    Args:
        graph: its norms that read the stream are weightless.
        rotation: ``[width of the stream]`` squared, orthogonal, float64; keeps the mean where a
            LayerNorm reads the stream. Graph inputs that are part of the stream arrive multiplied
            by it, as their tables are.

    Raises:
        GraphError: something other than weightless norms that the rotation passes and residual
            additions touches the stream, rows of it are cut, or the caller receives it; the
            message names the node and the reason.
    """
    stream = residual(graph)
    graph = graph.with_weights(_rotated_tables(graph, stream, rotation))
    # A product may both read and write the stream, so each change builds on the one before.
    for node in require_writers(graph, stream):
        graph = graph.with_weights(rotate_output(graph, node, rotation))
    for node in normalized_readers(graph, stream, keeps_mean(rotation)):
        graph = graph.with_weights(rotate_input(graph, node, rotation))
    return graph


def _rotated_tables(graph: Graph, stream: Residual, rotation: Tensor) -> dict[str, Weight]:
    """The tables of the inputs that are part of the stream."""
    names = [table for name, table in input_tables(graph).items() if name in stream.inputs]

    def turned(rows: Tensor) -> Tensor:
        return matrix_product(rows.double(), rotation).to(rows.dtype)

    return {name: graph.weights[name].map_rows(turned) for name in names}


def residual_norms(stream: Residual, mean_kept: bool) -> Iterable[Node]:
    """The weightless norms that read the stream; raises :class:`GraphError` at another node."""
    for norm in stream.readers:
        if norm.op not in NORMS or norm.weights:
            _refuse(norm, "only weightless norms may read the residual stream; fold norms first")
        if "group" in norm.attrs:
            _refuse(norm, "it is normalized in groups of channels, which a rotation mixes")
        if norm.op == "layer_norm" and not mean_kept:
            _refuse(norm, "a LayerNorm reads it, and the rotation does not keep the mean")
    return stream.readers


def normalized_readers(graph: Graph, stream: Residual, mean_kept: bool) -> list[Node]:
    """The products behind the norms of the stream; raises :class:`GraphError` at another node."""
    norms = residual_norms(stream, mean_kept)
    for norm in norms:
        if is_output(graph, norm.name):
            _refuse(norm, "the caller receives what it normalizes")
    products = [reader for norm in norms for reader in row_readers(graph, norm.name)]
    for product in products:
        if product.op != "linear":
            _refuse(product, "only products may read a normalized residual")
    return products


def require_writers(graph: Graph, stream: Residual) -> tuple[Node, ...]:
    """The products that write the stream; raises :class:`GraphError` at another node.

    Nothing outside of the stream may receive what they write.
    """
    for name in stream.values:
        if name in graph.outputs:
            what = "the residual stream cannot be rotated: the caller receives it"
            raise GraphError(what, where=name)
    for node in stream.writers:
        if node.op not in PRODUCTS:
            _refuse(node, "only products may write the residual stream")
        alone = len(graph.consumers(node.name)) == 1 and node.name not in graph.outputs
        if node.name not in stream.values and not alone:
            _refuse(node, "its output is also read outside the residual stream")
    return stream.writers


def _refuse(node: Node, reason: str) -> None:
    raise GraphError(f"the residual stream cannot be rotated: {reason}", where=node.name)
