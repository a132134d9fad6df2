"""Vision head-output rotation: the features leave multiplied by the language model's R1.

All outputs are features: those that stand among the embeddings, and those that later layers add.
"""

from __future__ import annotations

from torch import Tensor

from vlmforge.errors import GraphError
from vlmforge.graph.core import Graph, Weight
from vlmforge.transform.rotate import rotate_output


def rotate_head(graph: Graph, rotation: Tensor) -> Graph:
    """The graph whose outputs are multiplied by ``rotation`` [hidden, hidden], float64.

    Raises:
        GraphError: an output does not come from a product, is of another width, or is read in the
            graph as well.
    """
    for name in graph.outputs:
        graph = graph.with_weights(_rotated(graph, name, rotation))
    return graph


def _rotated(graph: Graph, name: str, rotation: Tensor) -> dict[str, Weight]:
    head = graph.nodes[name]
    if head.op != "linear":
        raise GraphError("the output cannot be rotated: it is not a product's", where=name)
    if head.shape[-1] != len(rotation):
        what = f"the output cannot be rotated: it is {head.shape[-1]} wide, not {len(rotation)}"
        raise GraphError(what, where=name)
    if graph.consumers(name):
        raise GraphError("the output cannot be rotated: it is read in the graph too", where=name)
    return rotate_output(graph, head, rotation)
