"""Scales of a given exponent, and the best of a grid."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import pytest
import torch
from torch import Tensor

from tests.graphs import captured, language_feeds
from vlmforge.config import CompileConfig
from vlmforge.graph.core import Graph
from vlmforge.transform.choose.scales import scale
from vlmforge.transform.choose.smoothing import OutputError, smoothing_scales
from vlmforge.transform.choose.statistics import Statistics, collect
from vlmforge.transform.passes.mlp_scaling import gated_channels
from vlmforge.transform.precision import Precision
from vlmforge.transform.settings import Settings


@lru_cache(maxsize=1)
def measured(path: Path) -> tuple[Graph, Statistics]:
    graph = captured(path)[1]
    return graph, collect(graph, [lambda: language_feeds(graph)], gated_channels(graph))


def smoothquant(maxima: Tensor, weight: Tensor, exponent: float) -> Tensor:
    """``max|x_j|^a / max|w_j|^(1 - a)`` (Xiao et al. 2022, equation 4), over its mean."""
    scales = maxima.double() ** exponent / weight.double().abs().amax(0) ** (1 - exponent)
    return scales / scales.log().mean().exp()


@pytest.mark.parametrize("exponent", [0.0, 0.5, 0.8, 1.0])
def test_an_exponent_is_taken_as_it_is(tiny_checkpoint: Path, exponent: float) -> None:
    graph, statistics = measured(tiny_checkpoint)
    for value, channels in gated_channels(graph).items():
        error = OutputError(graph, channels, statistics, Precision({value: "int8"}))
        weight = graph.weights[channels.readers[0].weights["weight"]].load()
        wanted = smoothquant(statistics.maxima[value], weight, exponent)
        found = smoothing_scales(error, exponent).double()
        torch.testing.assert_close(found, wanted, rtol=1e-5, atol=0)


def test_the_best_of_the_grid_is_no_worse_than_any_of_it(tiny_checkpoint: Path) -> None:
    graph, statistics = measured(tiny_checkpoint)
    for value, channels in gated_channels(graph).items():
        error = OutputError(graph, channels, statistics, Precision({value: "int8"}))
        least = error(smoothing_scales(error))
        assert least <= error(torch.ones_like(statistics.maxima[value]))
        for step in range(1, 11):
            assert least <= error(smoothing_scales(error, step / 10))


@pytest.mark.parametrize("exponent", [0.3, 0.8])
def test_the_configuration_chooses_the_exponent(tiny_checkpoint: Path, exponent: float) -> None:
    graph, statistics = measured(tiny_checkpoint)
    config = CompileConfig.parse(
        {"equivalentTransformation": {"UD": {"apply": True, "smoothingFactor": exponent}}}
    )
    settings = Settings(config.equivalent_transformation, Precision())
    found = scale(graph, [lambda: language_feeds(graph)], settings)
    for value, channels in gated_channels(graph).items():
        (down,) = channels.readers
        weight = graph.weights[down.weights["weight"]].load()
        wanted = weight * smoothquant(statistics.maxima[value], weight, exponent).float()
        got = found.weights[down.weights["weight"]].load()
        torch.testing.assert_close(got, wanted, rtol=1e-4, atol=1e-6)
