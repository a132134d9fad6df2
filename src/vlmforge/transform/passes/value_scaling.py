"""VO: scales of the value product's outputs against the attention output product's inputs.

Attention mixes rows, never channels, so ``(P (V / s)) (W diag(s))' = P V W'``. The value
product (and its bias) takes ``1 / s``, the output product's columns ``s``; query heads that
share a kv head share its scales (Outlier Suppression+, Wei et al. 2023; OmniQuant, Shao et
al. 2023). The machine's values have a scale a channel already; what changes is the attention's
output, which has one scale for all channels, and the output product's weight.
"""

from __future__ import annotations

import torch
from torch import Tensor

from vlmforge.graph.core import Graph, Node
from vlmforge.graph.scaling import scale_output
from vlmforge.transform.blocks import value_paths
from vlmforge.transform.choose.smoothing import Channels
from vlmforge.transform.rotate import scale_input


def value_channels(graph: Graph) -> dict[str, Channels]:
    """The channels VO scales, by the name of the attention."""
    return {
        path.attention.name: Channels(path.attention.name, (path.output,), _tie(path.attention))
        for path in value_paths(graph, {})
    }


def scale_values(graph: Graph, scales: dict[str, Tensor]) -> Graph:
    """The graph whose attention outputs are divided by ``scales``.

    Args:
        graph: values come from a product, and one product reads each attention.
        scales: ``[heads * head_dim]`` by attention, equal for the query heads of a kv head.
    """
    for path in value_paths(graph, {}):
        attrs = path.attention.attrs
        factor = 1 / scales[path.attention.name].double()
        kept = factor.reshape(attrs["kv_heads"], -1, attrs["head_dim"])[:, 0].flatten()
        graph = graph.with_weights(scale_output(graph, path.value, kept))
        graph = graph.with_weights(scale_input(graph, path.output, factor))
    return graph


def _tie(attention: Node) -> Tensor:
    """The value channel behind each channel of the attention's output."""
    kv_heads, dim = attention.attrs["kv_heads"], attention.attrs["head_dim"]
    shared = attention.attrs["heads"] // kv_heads
    channels = torch.arange(kv_heads * dim).reshape(kv_heads, 1, dim)
    return channels.expand(kv_heads, shared, dim).flatten()
