"""Tables between whose rows those of a graph input lie, such as learned positions.

The caller reads the table, which the graph holds as a constant that no node reads, and makes the
input of it. What changes the basis of the one changes that of the other.
"""

from __future__ import annotations

from vlmforge.graph.core import Graph

INPUT_TABLES = "tables"
"""In the ``meta`` of graphs and programs: input to the constant that is its table."""


def input_tables(graph: Graph) -> dict[str, str]:
    """Graph input to the name of the weight ``[rows, channels]`` that is its table."""
    tables = graph.meta.get(INPUT_TABLES, {})
    return {name: graph.nodes[table].weights["value"] for name, table in tables.items()}
