"""UD: scales of the up projection's outputs against the down projection's inputs.

``W (a(g) * (u / s)) diag(s) = W (a(g) * u)``: the gate product is linear in its up factor, so
the up projection's rows (and bias) take ``1 / s``, the down projection's columns ``s``
(SmoothQuant's migration, Xiao et al. 2022, through the product of a gated MLP).
"""

from __future__ import annotations

from torch import Tensor

from vlmforge.arithmetic.hadamard import hadamard_transform
from vlmforge.graph.core import Graph, Weight
from vlmforge.graph.scaling import scale_output
from vlmforge.transform.blocks import GatedMLP, gated_mlps
from vlmforge.transform.choose.smoothing import Channels
from vlmforge.transform.rotate import scale_input


def gated_channels(graph: Graph) -> dict[str, Channels]:
    """The channels UD scales, by the name of the multiplication."""
    return {
        mlp.product.name: Channels(mlp.product.name, (mlp.down,), rotation=mlp.rotation)
        for mlp in gated_mlps(graph, {})
    }


def scale_gated(graph: Graph, scales: dict[str, Tensor]) -> Graph:
    """The graph whose gated products are divided by ``scales``.

    Args:
        graph: one product reads each gated product.
        scales: ``[intermediate]`` by multiplication, positive.
    """
    for mlp in gated_mlps(graph, {}):
        factor = 1 / scales[mlp.product.name].double()
        graph = graph.with_weights(scale_output(graph, mlp.up, factor))
        graph = graph.with_weights(_scaled_columns(graph, mlp, factor))
    return graph


def _scaled_columns(graph: Graph, mlp: GatedMLP, factor: Tensor) -> dict[str, Weight]:
    """The down projection's weight; a rotation between is undone first and done again after."""
    if mlp.rotation is None:
        return scale_input(graph, mlp.down, factor)
    name, block = mlp.down.weights["weight"], mlp.rotation.attrs["block"]

    def rows(weight: Tensor) -> Tensor:
        straight = hadamard_transform(weight.double(), block).unflatten(1, (-1, len(factor)))
        return hadamard_transform((straight / factor).flatten(1), block).to(weight.dtype)

    return {name: graph.weights[name].map_rows(rows)}
