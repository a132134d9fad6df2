"""Vision head-output rotation: the features leave multiplied by the language model's R1."""

from __future__ import annotations

from torch import Tensor

from vlmforge.errors import GraphError
from vlmforge.graph.core import Graph
from vlmforge.transform.rotate import rotate_output


def rotate_head(graph: Graph, rotation: Tensor) -> Graph:
    """The graph whose output is multiplied by ``rotation`` [hidden, hidden], float64.

    Raises:
        GraphError: the output does not come from a product, is of another width, or is read in the
            graph as well.
    """
    (name,) = graph.outputs
    head = graph.nodes[name]
    if head.op != "linear":
        raise GraphError("the output cannot be rotated: it is not a product's", where=name)
    if head.shape[-1] != len(rotation):
        what = f"the output cannot be rotated: it is {head.shape[-1]} wide, not {len(rotation)}"
        raise GraphError(what, where=name)
    if graph.consumers(name):
        raise GraphError("the output cannot be rotated: it is read in the graph too", where=name)
    return graph.with_weights(rotate_output(graph, head, rotation))
