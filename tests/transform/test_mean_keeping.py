"""Rotations that keep the mean: what they are, and LayerNorms that they pass."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from tests.transform.test_moves import encoder
from vlmforge.config import EquivalentTransformationConfig
from vlmforge.errors import GraphError
from vlmforge.graph.core import Graph
from vlmforge.graph.evaluate import evaluate
from vlmforge.graph.residual import residual
from vlmforge.transform.choose.learn import rotations as rotations_module
from vlmforge.transform.choose.rotations import choose_rotations
from vlmforge.transform.hadamard import random_rotation
from vlmforge.transform.mean_keeping import keeps_mean, mean_keeping_rotation, normalizes_mean
from vlmforge.transform.order import preparation, residual_turns, rotations, transform
from vlmforge.transform.passes.centering import centre_residual
from vlmforge.transform.passes.norm_folding import fold_norms
from vlmforge.transform.passes.residual_rotation import rotate_residual
from vlmforge.transform.precision import Precision
from vlmforge.transform.settings import Settings

SPREAD = {16: 1 / 4, 1024: 1 / 32, 768: 2 / 3 / 16}
"""Sizes to the largest entry there has to be: of 4^k, and of 3 times that."""


@pytest.mark.parametrize("size", [1, 2, 3, 8, 18, 32, 72, 80, 320, *SPREAD])
def test_rows_and_columns_sum_to_one(size: int) -> None:
    matrix = mean_keeping_rotation(size, 3)
    ones = torch.ones(size, dtype=torch.float64)
    assert (matrix @ matrix.T - torch.eye(size)).abs().max() < 1e-12
    assert torch.stack([matrix @ ones, matrix.T @ ones]).sub(1).abs().max() < 1e-12
    assert keeps_mean(matrix) and torch.equal(matrix, mean_keeping_rotation(size, 3))


@pytest.mark.parametrize(("size", "largest"), SPREAD.items())
def test_one_channel_is_spread_evenly(size: int, largest: float) -> None:
    assert mean_keeping_rotation(size, 0).abs().max() < largest * 1.03


def test_seeds_differ_and_few_channels_stay_as_they_are() -> None:
    first, second = (mean_keeping_rotation(96, seed) for seed in (0, 1))
    assert (first - second).abs().max() > 0.1
    assert mean_keeping_rotation(32, 0).abs().max() < 0.5
    assert not keeps_mean(random_rotation(96, 0))


def doubled(graph: Graph) -> Graph:
    """The graph in float64."""
    return graph.with_weights(
        {
            name: replace(weight, read=lambda a, b, read=weight.read: read(a, b).double())
            for name, weight in graph.weights.items()
        }
    )


@pytest.mark.parametrize(("joined", "where"), [(2, "stream"), (4, "stream"), (2, "norm")])
def test_it_passes_layer_norms_of_rows_and_of_groups(joined: int, where: str) -> None:
    graph, feeds = encoder(joined, where)
    exact = {name: feed.double() for name, feed in feeds.items()}
    folded, rotation = fold_norms(graph), mean_keeping_rotation(8, 1)
    seen: dict[str, Tensor] = {}
    turned = evaluate(doubled(rotate_residual(folded, rotation)), exact, observe=seen.__setitem__)
    straight: dict[str, Tensor] = {}
    wanted = evaluate(doubled(graph), exact, observe=straight.__setitem__)
    for name, value in wanted.items():
        assert (turned[name] - value).abs().max() < 1e-5 * value.abs().max()
    for name in residual(graph).values:
        rows = straight[name].unflatten(-1, (-1, 8)) @ rotation
        torch.testing.assert_close(seen[name], rows.flatten(-2), rtol=1e-5, atol=1e-5)


def test_another_rotation_is_refused_before_a_layer_norm() -> None:
    graph = fold_norms(encoder(2, "stream")[0])
    with pytest.raises(GraphError, match="does not keep the mean") as caught:
        rotate_residual(graph, random_rotation(8, 0))
    assert graph.nodes[str(caught.value.where)].op == "layer_norm"


@pytest.mark.parametrize("learn", [False, True])
@pytest.mark.parametrize(("joined", "keeps"), [(2, True), (1, False)])
def test_it_is_chosen_where_centring_stepped_aside(
    monkeypatch: pytest.MonkeyPatch, joined: int, keeps: bool, learn: bool
) -> None:
    monkeypatch.setattr(rotations_module, "STEPS", 5)
    graph, feeds = encoder(joined, "stream")
    config = EquivalentTransformationConfig.model_validate(
        {"SpinR1": {"apply": True, "learn": learn}}
    )
    prepared = transform(graph, preparation(config))
    assert ("centring" in prepared.meta.get("aside", {})) is keeps
    assert normalizes_mean(prepared) is keeps
    prepared, turned = residual_turns(prepared, config)
    norms = [node.name for node in graph.nodes.values() if node.op == "layer_norm"]
    settings = Settings(config, Precision(dict.fromkeys(norms, "int8"), {}))
    chosen = choose_rotations(prepared, [lambda: dict(feeds)], settings, turned)
    assert chosen.residual is not None and keeps_mean(chosen.residual) is keeps
    assert torch.equal(chosen.residual, mean_keeping_rotation(8, 0)) is (keeps and not learn)
    got = evaluate(transform(prepared, rotations(config, chosen.residual, None, None)), feeds)
    for name, value in evaluate(graph, feeds).items():
        assert (got[name] - value).abs().max() < 2e-5 * value.abs().max()


def test_a_graph_without_layer_norms_needs_none() -> None:
    graph = centre_residual(fold_norms(encoder(2, "norm")[0]))
    assert not normalizes_mean(graph)
