"""Padding: channels of zeros that make those of a gated MLP whole Hadamard blocks.

``W (a(G x) * (U x)) = [W 0] (a([G; 0] x) * ([U; 0] x))``, as every activation here is 0 at 0. A
width such as 3420 = 4 · 855 has no block that R4 could mix; 3456 = 27 · 128 has.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import torch.nn.functional as F
from torch import Tensor

from vlmforge.errors import GraphError
from vlmforge.fixed_point import HADAMARD_BLOCKS
from vlmforge.graph.core import Graph, Node, Weight
from vlmforge.graph.flow import is_output
from vlmforge.graph.ops import ACTIVATIONS
from vlmforge.transform.blocks import Aside, GatedMLP, each_part, gated_mlps

CHEAP = 64
"""A part of the channels there are, of which one more may be silent for the sake of a block."""


def pad_gated(graph: Graph, largest: int, aside: Aside | None = None) -> Graph:
    """The graph whose gated products have whole blocks of channels.

    Args:
        graph: one product reads each gated product, and nothing else its factors.
        largest: channels of a block at most, see :func:`padded_channels`.
        aside: takes what stands in the way of an MLP, which then keeps its width.

    Raises:
        GraphError: something else reads a factor, or it comes from no product.
    """
    nodes, weights = dict(graph.nodes), dict[str, Weight]()
    mlps = {mlp.product.name: mlp for mlp in gated_mlps(graph, {})}
    wanted = {name: _padded(mlp, largest) for name, mlp in mlps.items()}
    changing = [graph.nodes[name] for name, width in wanted.items() if width]

    def chains(graph: Graph, product: Node) -> tuple[GatedMLP, list[Node]]:
        mlp = mlps[product.name]
        if mlp.down.inputs != (product.name,):
            raise GraphError(
                f"something moves it on its way to {mlp.down.name}", where=product.name
            )
        return mlp, [*_factors(graph, product)]

    for mlp, chain in each_part(graph, changing, chains, aside):
        width = wanted[mlp.product.name]
        for node in (*chain, mlp.product):
            nodes[node.name] = replace(node, shape=(*node.shape[:-1], width))
            weights |= {n: _rows(graph.weights[n], width) for n in node.weights.values()}
        columns = mlp.down.weights["weight"]
        weights[columns] = _columns(graph.weights[columns], width)
    return graph.with_nodes(nodes.values(), weights)


def padded_channels(channels: int, largest: int) -> int:
    """So many channels or a few more: those that have the largest block at little cost.

    The largest block that a 64th more channels make whole; where there is none, the least number
    that has a block.
    """
    blocks = sorted((block for block in HADAMARD_BLOCKS if block <= largest), reverse=True)
    widths = [-(-channels // block) * block for block in blocks]
    cheap = (width for width in widths if width - channels <= channels // CHEAP)
    return next(cheap, min(widths, default=channels))


def _padded(mlp: GatedMLP, largest: int) -> int:
    """The width of an MLP, if it is to be another."""
    channels = mlp.product.shape[-1]
    assert isinstance(channels, int)  # channels are never dynamic
    width = padded_channels(channels, largest)
    return width if width != channels and mlp.rotation is None else 0


def _factors(graph: Graph, product: Node) -> Iterator[Node]:
    """The products that a multiplication's factors come from, and the activations between."""
    for name in product.inputs:
        reader, node = product, graph.nodes.get(name)
        while node is not None and node.op in ACTIVATIONS:
            yield _alone(graph, node, reader)
            reader, node = node, graph.nodes.get(node.inputs[0])
        if node is None or node.op != "linear":
            raise GraphError("a factor comes from no product", where=product.name)
        yield _alone(graph, node, reader)


def _alone(graph: Graph, node: Node, reader: Node) -> Node:
    others = [each.name for each in graph.consumers(node.name) if each.name != reader.name]
    if others or is_output(graph, node.name):
        what = f"{', '.join(others) or 'the caller'} reads it as well as {reader.name}"
        raise GraphError(what, where=node.name)
    return node


def _rows(weight: Weight, width: int) -> Weight:
    """The weight with rows of zeros behind its own."""
    own, *rest = weight.shape

    def read(start: int, stop: int) -> Tensor:
        rows = weight.read(min(start, own), min(stop, own))
        padding = [0, 0] * len(rest) + [0, stop - start - len(rows)]
        return F.pad(rows, padding)

    return Weight((width, *rest), read, weight.dtype)


def _columns(weight: Weight, width: int) -> Weight:
    """The weight with columns of zeros behind its own."""
    rows, own = weight.shape
    return Weight(
        (rows, width),
        lambda start, stop: F.pad(weight.read(start, stop), (0, width - own)),
        weight.dtype,
    )
