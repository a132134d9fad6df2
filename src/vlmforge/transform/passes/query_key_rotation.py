"""QkRotation: a rotation of query and key channels that commutes with RoPE.

RoPE turns each pair of channels (i, i + D/2) in its plane; turning the pair of the query
product and of the key product by one more angle commutes with that and leaves their dot
product as it is: ``(q T) . (k T) = q . k``. The rows and biases of both products take it.
Pairs of low frequency hardly turn over a context, so their two channels can differ much, and
the angle decides which maxima the static scales have to cover.
"""

from __future__ import annotations

import torch
from torch import Tensor

from vlmforge.arithmetic.functions import cos_sin
from vlmforge.graph.core import Graph
from vlmforge.transform.blocks import KeyPath, plain_key_paths
from vlmforge.transform.choose.statistics import ANGLES, Statistics
from vlmforge.transform.rotate import rotate_output


def best_angles(graph: Graph, statistics: Statistics) -> dict[str, Tensor]:
    """Angles ``[kv_heads, head_dim / 2]`` in radians, float64, by attention name.

    Among :data:`~vlmforge.transform.choose.statistics.ANGLES` of a quarter turn (a whole one more
    exchanges the channels) the angle with the least ``sum of max|q| max|k|`` over the pair's
    channels: with a key scale a channel folded into the queries, the integer score's step is
    set by these products.
    """
    return {path.attention.name: _best(path, statistics) for path in plain_key_paths(graph, {})}


def rotate_keys(graph: Graph, angles: dict[str, Tensor]) -> Graph:
    """The graph whose query and key pairs are turned by ``angles``.

    Args:
        graph: queries and keys are products, turned by RoPE or not; no turn passes the gain of a
            norm.
        angles: ``[kv_heads, head_dim / 2]`` in radians, float64, by attention name.
    """
    for path in plain_key_paths(graph, {}):
        turns = _pair_rotations(angles[path.attention.name])
        shared = path.attention.attrs["heads"] // path.attention.attrs["kv_heads"]
        graph = graph.with_weights(rotate_output(graph, path.key, turns))
        query = rotate_output(graph, path.query, turns.repeat_interleave(shared, 0))
        graph = graph.with_weights(query)
    return graph


def _best(path: KeyPath, statistics: Statistics) -> Tensor:
    query, key = (statistics.extents[name].double() for name in path.operands)
    query = query.unflatten(1, (key.shape[1], -1)).amax(2)
    products = query * key
    cost = products[:ANGLES] + products[ANGLES:]
    return cost.argmin(0).double() * (torch.pi / (2 * ANGLES))


def _pair_rotations(angles: Tensor) -> Tensor:
    """``[heads, D, D]``: (a, b) becomes (a cos - b sin, a sin + b cos) for channels i, i + D/2."""
    cos, sin = (torch.diag_embed(each) for each in cos_sin(angles))
    return torch.cat([torch.cat([cos, sin], dim=2), torch.cat([-sin, cos], dim=2)], dim=1)
