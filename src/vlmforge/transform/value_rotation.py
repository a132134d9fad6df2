"""R2: a rotation of every value head (SpinQuant, Liu et al. 2024, section 3.1).

Attention mixes rows, never channels, so ``(P V R2) (W R2)^T = P V W^T``: the value product
rotates its output by R2 within each kv head (bias included) and the output product undoes it
within each query head.
"""

from __future__ import annotations

from torch import Tensor

from vlmforge.graph.core import Graph, Node, Weight
from vlmforge.graph.flow import source
from vlmforge.transform.rotate import block_diagonal, rotate_input, rotate_output


def rotate_values(graph: Graph, rotations: dict[str, Tensor]) -> Graph:
    """The graph with each attention's values rotated; ``rotations`` [head_dim, head_dim] by name.

    An attention whose values do not come straight from a product, or whose output is read by
    something other than one product, is left as it is.
    """
    changed: dict[str, Weight] = {}
    for attention in attentions(graph):
        value, output = source(graph, attention.inputs[2]), graph.consumers(attention.name)
        if value is None or value.op != "linear" or [n.op for n in output] != ["linear"]:
            continue
        rotation, attrs = rotations[attention.name], attention.attrs
        changed |= rotate_output(graph, value, block_diagonal(rotation, attrs["kv_heads"]))
        changed |= rotate_input(graph, output[0], block_diagonal(rotation, attrs["heads"]))
    return graph.with_weights(changed)


def attentions(graph: Graph) -> list[Node]:
    """The attention nodes of the graph."""
    return [node for node in graph.nodes.values() if node.op == "attention"]
