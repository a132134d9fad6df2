"""Held: the samples that are run through a component, of which all live values are held at once."""

from __future__ import annotations

from collections.abc import Sequence

from vlmforge.graph.core import Graph
from vlmforge.graph.feeds import row_count
from vlmforge.graph.stream import Feeds

ROWS = 65536
"""About the most rows of samples: more tell little, and cost memory and time."""


def held_at_once(graph: Graph, samples: Sequence[Feeds]) -> Sequence[Feeds]:
    """As many samples, spread over all of them, as :data:`ROWS` allows; one at least."""
    rows = sum(row_count(graph, load()) for load in samples)
    return spread(samples, max(1, len(samples) * ROWS // max(ROWS, rows)))


def spread(samples: Sequence[Feeds], count: int) -> Sequence[Feeds]:
    """``count`` of some samples, as far from each other as can be."""
    return [samples[i * len(samples) // count] for i in range(count)]
