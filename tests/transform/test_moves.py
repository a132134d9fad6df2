"""A pass across moved, joined or cut rows keeps the function, or names what stands in its way."""

from __future__ import annotations

import random
from collections.abc import Callable
from functools import partial

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from tests.graphs import relative_error
from tests.transform.random_graphs import HEAD, ROWS, WIDTH, Builder, grouped, random_graph
from vlmforge.errors import GraphError
from vlmforge.graph.core import Graph
from vlmforge.graph.evaluate import evaluate
from vlmforge.graph.verify import verify
from vlmforge.transform.blocks import attentions, gated_mlps, key_paths, value_paths
from vlmforge.transform.choose.rotations import stream_width
from vlmforge.transform.choose.smoothing import Channels
from vlmforge.transform.hadamard import random_rotation
from vlmforge.transform.mean_keeping import mean_keeping_rotation
from vlmforge.transform.passes.centering import centre_residual
from vlmforge.transform.passes.gated_rotation import rotate_gated
from vlmforge.transform.passes.head_rotation import rotate_head
from vlmforge.transform.passes.mlp_scaling import gated_channels, scale_gated
from vlmforge.transform.passes.norm_folding import fold_norms
from vlmforge.transform.passes.norm_scaling import norm_channels, scale_norms
from vlmforge.transform.passes.query_key_rotation import rotate_keys
from vlmforge.transform.passes.query_key_scaling import scale_keys
from vlmforge.transform.passes.residual_rotation import rotate_residual
from vlmforge.transform.passes.value_rotation import random_value_rotations, rotate_values
from vlmforge.transform.passes.value_scaling import scale_values, value_channels

Rewrite = Callable[[Graph], Graph]


def wild(graph: Graph, channels: dict[str, Channels]) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(5)
    found = {}
    for name, each in channels.items():
        size = graph.value(name).shape[-1]
        assert isinstance(size, int)
        found[name] = each.tied(torch.randn(size, generator=generator).exp())
    return found


def per_head(graph: Graph) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(6)
    drawn = (torch.randn(2, HEAD // 2, generator=generator).double() for _ in graph.nodes)
    return {node.name: next(drawn).exp() for node in attentions(graph)}


def residual_turned(graph: Graph) -> Graph:
    return rotate_residual(graph, random_rotation(stream_width(graph), 1))


def mean_kept(graph: Graph) -> Graph:
    return rotate_residual(graph, mean_keeping_rotation(stream_width(graph), 1))


REWRITES: dict[str, Rewrite] = {
    "folding": fold_norms,
    "centring": lambda g: centre_residual(fold_norms(g)),
    "R1": lambda g: residual_turned(centre_residual(fold_norms(g))),
    "R1 that keeps the mean": lambda g: mean_kept(fold_norms(g)),
    "R1 of what is normalized already": lambda g: residual_turned(fold_norms(g)),
    "R2": lambda g: rotate_values(g, random_value_rotations(g, 1)),
    "R4": lambda g: rotate_gated(g, 16),
    "R4 twice": lambda g: rotate_gated(rotate_gated(g, 16), 16),
    "VO": lambda g: scale_values(g, wild(g, value_channels(g))),
    "UD": lambda g: scale_gated(g, wild(g, gated_channels(g))),
    "UD behind R4": lambda g: (lambda r: scale_gated(r, wild(r, gated_channels(r))))(
        rotate_gated(g, 16)
    ),
    "NormConv": lambda g: scale_norms(g, wild(g, norm_channels(g))),
    "QK": lambda g: scale_keys(g, per_head(g)),
    "QkRotation": lambda g: rotate_keys(g, per_head(g)),
}


def keeps_the_function(rewrite: Rewrite, graph: Graph, feeds: dict[str, Tensor]) -> bool:
    """Whether the pass applies; then every output is as before."""
    try:
        rewritten = rewrite(graph)
        verify(rewritten)
    except GraphError as error:
        assert error.where is not None
        return False
    wanted = evaluate(graph, feeds)
    for name, got in evaluate(rewritten, feeds).items():
        assert relative_error(got, wanted[name]) < 2e-4, name
    return True


@pytest.mark.parametrize("rewrite", REWRITES)
@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), moves=st.sampled_from([0.04, 0.15, 0.4]))
def test_equal_or_refused(rewrite: str, seed: int, moves: float) -> None:
    keeps_the_function(REWRITES[rewrite], *random_graph(seed, moves))


@pytest.mark.parametrize("rewrite", REWRITES)
@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), moves=st.sampled_from([0.04, 0.15]))
def test_rows_in_groups_are_as_fixed_ones(rewrite: str, seed: int, moves: float) -> None:
    graph, feeds = random_graph(seed, moves)
    verify(grouped(graph))
    applies = keeps_the_function(REWRITES[rewrite], graph, feeds)
    assert keeps_the_function(REWRITES[rewrite], grouped(graph), feeds) is applies


@pytest.mark.parametrize("rewrite", [name for name in REWRITES if "already" not in name])
def test_without_moves_every_pass_applies(rewrite: str) -> None:
    assert keeps_the_function(REWRITES[rewrite], *random_graph(3, moves=0.0))


def encoder(joined: int, where: str) -> tuple[Graph, dict[str, Tensor]]:
    """A stream that a LayerNorm reads ``joined`` rows at a time, or whose norm is read so."""
    build = Builder(random.Random(0), 0.0)
    image = torch.randn(ROWS, 6, generator=torch.Generator().manual_seed(1))
    stream = build.linear(build.feed("images", image), WIDTH)
    mlp = build.linear(build.norm("layer_norm", stream), WIDTH)
    stream = build.add("add", stream, mlp)
    wide = WIDTH * joined if joined > 0 else WIDTH // -joined
    if where == "stream":
        normed = build.norm("layer_norm", build.reshaped(stream, wide))
    else:
        normed = build.reshaped(build.norm("layer_norm", stream), wide)
    head = build.linear(normed, WIDTH)
    return Graph("vision", build.inputs, build.nodes, (head,), build.weights), build.feeds


@pytest.mark.parametrize(
    ("joined", "where", "applies"),
    [(2, "stream", False), (-2, "stream", False), (2, "norm", True), (-2, "norm", False)],
)
def test_centring_across_a_reshape(joined: int, where: str, applies: bool) -> None:
    graph, feeds = encoder(joined, where)
    assert keeps_the_function(REWRITES["centring"], graph, feeds) is applies


def test_centring_names_the_reshape() -> None:
    graph, _ = encoder(2, "stream")
    with pytest.raises(GraphError, match="lays rows side by side") as caught:
        centre_residual(fold_norms(graph))
    assert graph.nodes[str(caught.value.where)].op == "reshape"


@pytest.mark.parametrize("joined", [2, -2])
def test_a_rotation_passes_joined_rows_but_not_cut_ones(joined: int) -> None:
    build = Builder(random.Random(0), 0.0)
    image = torch.randn(ROWS, 6, generator=torch.Generator().manual_seed(1))
    stream = build.linear(build.feed("images", image), WIDTH)
    mlp = build.linear(build.norm("rms_norm", stream), WIDTH)
    wide = build.reshaped(build.add("add", stream, mlp), WIDTH * 2 if joined > 0 else WIDTH // 2)
    head = build.linear(build.norm("rms_norm", wide), WIDTH)
    graph = Graph("vision", build.inputs, build.nodes, (head,), build.weights)
    rewrite = REWRITES["R1 of what is normalized already"]
    assert keeps_the_function(rewrite, graph, build.feeds) is (joined > 0)


def test_a_value_that_is_read_twice_is_refused() -> None:
    build = Builder(random.Random(0), 0.0)
    x = build.feed("images", torch.ones(ROWS, WIDTH))
    turned, value = build.rope(build.linear(x, WIDTH)), build.linear(x, WIDTH)
    attrs = {"heads": 2, "kv_heads": 2, "head_dim": HEAD, "scale": 0.5}
    attend = partial(build.add, "attention", causal=False, cache=None, **attrs)
    shared, same = attend(turned, value, value), attend(turned, turned, value)
    up = build.linear(x, WIDTH)
    square = build.linear(build.add("mul", up, up), WIDTH)
    outputs = (build.linear(shared, WIDTH), build.linear(same, WIDTH), square)
    graph = Graph("vision", build.inputs, build.nodes, outputs, build.weights)
    for rule in (value_paths, key_paths, gated_mlps):
        with pytest.raises(GraphError):
            rule(graph)


def test_a_head_of_another_width_or_with_a_reader_is_not_rotated() -> None:
    build = Builder(random.Random(0), 0.0)
    head = build.linear(build.feed("images", torch.ones(ROWS, 6)), 2 * WIDTH)
    graph = Graph("vision", build.inputs, dict(build.nodes), (head,), build.weights)
    with pytest.raises(GraphError, match="16 wide, not 8"):
        rotate_head(graph, random_rotation(WIDTH, 0))
    build.add("silu", head)
    read = Graph("vision", build.inputs, build.nodes, (head,), build.weights)
    with pytest.raises(GraphError, match="read in the graph too"):
        rotate_head(read, random_rotation(2 * WIDTH, 0))


def test_rope_of_other_heads_is_refused() -> None:
    build = Builder(random.Random(0), 0.0)
    x = build.feed("images", torch.ones(ROWS, 2 * WIDTH))
    query, key = (build.rope(build.linear(x, 2 * WIDTH)) for _ in range(2))
    attrs = {"heads": 2, "kv_heads": 2, "head_dim": 2 * HEAD, "scale": 0.5}
    value = build.linear(x, 2 * WIDTH)
    attention = build.add("attention", query, key, value, causal=False, cache=None, **attrs)
    head = build.linear(attention, WIDTH)
    graph = Graph("vision", build.inputs, build.nodes, (head,), build.weights)
    with pytest.raises(GraphError, match="turns other heads"):
        key_paths(graph)
