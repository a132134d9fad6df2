"""R2: a rotation of every value head (SpinQuant, Liu et al. 2024, section 3.1).

Attention mixes rows, never channels, so ``(P V R2) (W R2)' = P V W'``: the value product
rotates its output by R2 within each kv head (bias included) and the output product undoes it
within each query head.
"""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from vlmforge.graph.core import Graph
from vlmforge.transform.blocks import attentions, value_paths
from vlmforge.transform.hadamard import random_rotation
from vlmforge.transform.rotate import rotate_input, rotate_output


def rotate_values(graph: Graph, rotations: Mapping[str, Tensor]) -> Graph:
    """The graph with the values of attentions rotated, by ``rotations`` [head_dim, head_dim]."""
    for path in value_paths(graph, {}):
        rotation = rotations[path.attention.name]
        graph = graph.with_weights(rotate_output(graph, path.value, rotation))
        graph = graph.with_weights(rotate_input(graph, path.output, rotation))
    return graph


def random_value_rotations(graph: Graph, seed: int) -> dict[str, Tensor]:
    """A random Hadamard rotation for every attention, each with a seed of its own."""
    return {
        node.name: random_rotation(node.attrs["head_dim"], seed + 1 + i)
        for i, node in enumerate(attentions(graph))
    }
