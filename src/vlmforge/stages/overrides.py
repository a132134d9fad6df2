"""The overrides of the configuration, component by component."""

from __future__ import annotations

from collections.abc import Sequence

from vlmforge.config import BitConfig, CompileConfig
from vlmforge.formats.mblt import read_mblt
from vlmforge.graph.core import Graph
from vlmforge.quantize.scheme import require_nodes
from vlmforge.workspace import Workspace


def split_overrides(
    config: CompileConfig, space: Workspace, components: Sequence[str]
) -> dict[str, BitConfig.LayerOverrides]:
    """The overrides of each component."""
    graphs = [read_mblt(space.mblt(component), verify=False) for component in components]
    names = config.bit.layer_overrides.model_dump()
    elsewhere = {name for graph in graphs[1:] for name in graph.nodes}
    for listed in names.values():
        require_nodes(graphs[0], [name for name in listed if name not in elsewhere])
    return {graph.component: component_overrides(graph, config) for graph in graphs}


def component_overrides(graph: Graph, config: CompileConfig) -> BitConfig.LayerOverrides:
    """The overrides of the nodes the graph has."""
    names = config.bit.layer_overrides.model_dump()
    found = {key: tuple(n for n in listed if n in graph.nodes) for key, listed in names.items()}
    return BitConfig.LayerOverrides(**found)
