"""Lengths: how many tokens and conversations a decoder's program is for."""

from __future__ import annotations

from dataclasses import replace

from vlmforge.config import LlmConfig
from vlmforge.families.family import LANGUAGE
from vlmforge.graph.core import Graph


def with_lengths(graph: Graph, llm: LlmConfig) -> Graph:
    """The graph with the lengths and the batch that are asked for, if it is a decoder's.

    Raises:
        ConfigError: a length is above what the decoder allows.
    """
    if graph.component != LANGUAGE:
        return graph
    asked = {"cache_length": llm.cache_length(graph.meta["cache_length"])}
    batch = llm.attributes.runtime.batch_size
    if llm.apply and batch is not None:
        asked["batch_size"] = batch
    return replace(graph, meta={**graph.meta, **asked})
