"""Which values become int8, so that only few products read int16."""

from __future__ import annotations

import math
from collections.abc import Mapping

from vlmforge.config import BitConfig
from vlmforge.graph.core import Graph
from vlmforge.graph.flow import readers
from vlmforge.graph.ops import PRODUCTS
from vlmforge.quantize.observe.ranges import Range
from vlmforge.quantize.scales.choice import Bound
from vlmforge.quantize.scheme import assign_codes, last_inputs, narrowable


def narrow_products(
    graph: Graph,
    wide_nodes: tuple[str, ...],
    ranges: Mapping[str, Range],
    bound: Bound,
    bit: BitConfig,
) -> set[str]:
    """The values that become int8 because int16 would cost more than it saves.

    What the last products read and, of the outputs of gated MLPs, those that int8 would hurt most
    (:meth:`vlmforge.quantize.observe.histogram.Histogram.loss`) stay int16, as long as they lose
    ``bit.activation_16_loss`` and no more than ``bit.activation_16_share`` of the graph's products
    read int16; products that ``wide_nodes`` widen come first.

    Args:
        graph: the transformed graph.
        wide_nodes: the 16-bit overrides.
        ranges: with histograms of the outputs of gated MLPs.
        bound: where int8 codes would clip.
        bit: the least loss and the share. A share of 0 makes all of them int8, one of 1 and a
            loss of 0 none.
    """
    names = narrowable(graph)
    codes = assign_codes(graph, wide_nodes, names)
    products = [node for node in graph.nodes.values() if node.op in PRODUCTS]
    wide = sum(codes[node.inputs[0]] == "int16" for node in products)
    left = int(bit.activation_16_share * len(products)) - wide
    narrow = {name for name in names if codes[name] == "int8"}
    last = last_inputs(graph)
    losses = {n: math.inf if n in last else _loss(ranges[n], bound) for n in narrow}
    hurt = {name for name in narrow if losses[name] >= bit.activation_16_loss}
    for name in sorted(hurt, key=lambda name: (-losses[name], name)):
        readings = sum(1 for _ in readers(graph, name))
        if readings <= left:
            narrow.remove(name)
            left -= readings
    return narrow


def _loss(observed: Range, bound: Bound) -> float:
    assert observed.histogram is not None, "outputs of gated MLPs are observed with histograms"
    return observed.histogram.loss(bound(observed))
