"""R4: a Hadamard matrix between a gated MLP and its down projection.

``(a H)(W H)' = a W'`` with H orthogonal and symmetric: blocks of the channels of
``a = act(g) * u`` are mixed when the model runs, since no rotation passes an elementwise product,
and the down projection undoes it in its weight (SpinQuant, Liu et al. 2024, section 3.2; QuaRot,
Ashkboos et al. 2024). A value that stands out in one channel becomes as many of a fraction of its
size, and outlying columns of the weight are spread the same way.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from vlmforge.arithmetic.hadamard import hadamard_transform
from vlmforge.fixed_point import HADAMARD_BLOCKS
from vlmforge.graph.core import Graph, Node, Weight
from vlmforge.transform.blocks import gated_mlps


def rotate_gated(graph: Graph, largest: int) -> Graph:
    """The graph with a ``hadamard`` node behind every gated product.

    Args:
        graph: one product reads each gated product; one that is rotated already stays so.
        largest: channels mixed at most. Where they do not divide the channels, half as many are
            tried; where not even the smallest block does, the product stays as it is.
    """
    inserted: dict[str, Node] = {}
    changed: dict[str, Weight] = {}
    for mlp in gated_mlps(graph, {}):
        block = _block(mlp.product, largest)
        if block is None or mlp.rotation is not None:
            continue
        name = f"{mlp.product.name}/hadamard"
        attrs = {"block": block}
        inserted[mlp.product.name] = Node(
            name, "hadamard", (mlp.product.name,), mlp.product.shape, {}, attrs
        )
        changed |= _rotate_columns(graph, mlp.down, block)
    return graph.with_nodes(_nodes(graph, inserted), changed)


def _rotate_columns(graph: Graph, product: Node, block: int) -> dict[str, Weight]:
    """The weight of a product whose input arrives mixed in blocks; it is its own inverse."""
    name = product.weights["weight"]
    return {
        name: graph.weights[name].map_rows(
            lambda rows: hadamard_transform(rows.double(), block).to(rows.dtype)
        )
    }


def _block(product: Node, largest: int) -> int | None:
    channels = product.shape[-1]
    assert isinstance(channels, int)  # channels are never dynamic
    fits = (block for block in HADAMARD_BLOCKS if block <= largest and channels % block == 0)
    return max(fits, default=None)


def _nodes(graph: Graph, inserted: dict[str, Node]) -> Iterator[Node]:
    """The nodes, those inserted behind the value they rotate, for all that reads it."""
    for node in graph.nodes.values():
        names = (inserted[n].name if n in inserted else n for n in node.inputs)
        yield replace(node, inputs=tuple(names))
        if node.name in inserted:
            yield inserted[node.name]
