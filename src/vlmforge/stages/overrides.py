"""The overrides of the configuration, component by component."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence

from vlmforge.config import BitConfig, CompileConfig
from vlmforge.errors import ConfigError
from vlmforge.formats.mblt import read_mblt
from vlmforge.graph.core import Graph
from vlmforge.stages.workspace import Workspace


def workspace_overrides(
    config: CompileConfig, space: Workspace
) -> dict[str, BitConfig.LayerOverrides]:
    """The overrides of each component that a workspace has captured.

    Raises:
        ConfigError: as :func:`split_overrides`.
    """
    graphs = [read_mblt(space.mblt(component), verify=False) for component in space.captured]
    return split_overrides(config, graphs) if graphs else {}


def split_overrides(
    config: CompileConfig, graphs: Sequence[Graph]
) -> dict[str, BitConfig.LayerOverrides]:
    """The overrides of each component.

    Raises:
        ConfigError: a name is no node of any graph; the nearest one is named, and its component.
    """
    owners = {name: graph.component for graph in graphs for name in graph.nodes}
    for key, listed in config.bit.layer_overrides.model_dump(by_alias=True).items():
        for name in listed:
            if name not in owners:
                raise ConfigError(
                    f"bit.layerOverrides.{key}: no node is called {name!r}",
                    where=" and ".join(graph.component for graph in graphs),
                    mend=_nearest(name, owners),
                )
    return {graph.component: component_overrides(graph, config) for graph in graphs}


def _nearest(name: str, owners: Mapping[str, str]) -> str:
    near = difflib.get_close_matches(name, owners, n=1)
    if near:
        return f"did you mean {near[0]!r}, of {owners[near[0]]}?"
    return "`vlmforge inspect MODEL.mblt` lists the names"


def component_overrides(graph: Graph, config: CompileConfig) -> BitConfig.LayerOverrides:
    """The overrides of the nodes the graph has."""
    names = config.bit.layer_overrides.model_dump()
    found = {key: tuple(n for n in listed if n in graph.nodes) for key, listed in names.items()}
    return BitConfig.LayerOverrides(**found)
