"""Vision head-output rotation: the features leave multiplied by the language model's R1."""

from __future__ import annotations

from torch import Tensor

from vlmforge.errors import GraphError
from vlmforge.graph.core import Graph
from vlmforge.transform.rotate import rotate_output


def rotate_head(graph: Graph, rotation: Tensor) -> Graph:
    """The graph whose output is multiplied by ``rotation`` [hidden, hidden], float64.

    Raises:
        GraphError: the output does not come from a product.
    """
    (name,) = graph.outputs
    head = graph.nodes[name]
    if head.op != "linear":
        raise GraphError("the output cannot be rotated: it is not a product's", where=name)
    return graph.with_weights(rotate_output(graph, head, rotation))
