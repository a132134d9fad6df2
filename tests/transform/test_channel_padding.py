"""Channels of zeros make whole blocks, and change nothing else."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.graphs import relative_error
from tests.transform.random_graphs import Builder
from vlmforge.config import EquivalentTransformationConfig
from vlmforge.errors import GraphError
from vlmforge.fixed_point import HADAMARD_BLOCKS
from vlmforge.graph.core import Graph, Node, Weight
from vlmforge.graph.evaluate import evaluate
from vlmforge.graph.verify import verify
from vlmforge.transform.blocks import gated_mlps
from vlmforge.transform.order import preparation, transform
from vlmforge.transform.passes.channel_padding import pad_gated, padded_channels
from vlmforge.transform.passes.gated_rotation import rotate_gated
from vlmforge.transform.passes.mlp_scaling import gated_channels, scale_gated

R4 = EquivalentTransformationConfig.model_validate(
    {"SpinR1": {"apply": False}, "SpinR4": {"apply": True}}
)


@pytest.mark.parametrize(
    ("channels", "largest", "padded"),
    [
        (3420, 256, 3456),
        (3420, 512, 3456),
        (3420, 16, 3424),
        (4304, 256, 4352),
        (8960, 256, 8960),
        (18944, 256, 18944),
        (640, 256, 640),
        (160, 256, 160),
        (52, 256, 64),
        (1, 256, 16),
    ],
)
def test_widths(channels: int, largest: int, padded: int) -> None:
    assert padded_channels(channels, largest) == padded


@given(st.integers(1, 40000), st.sampled_from(HADAMARD_BLOCKS))
def test_a_width_has_a_block_at_little_cost(channels: int, largest: int) -> None:
    padded = padded_channels(channels, largest)
    assert padded % 16 == 0 and 0 <= padded - channels <= max(15, channels // 64)
    blocks = [block for block in HADAMARD_BLOCKS if block <= largest and padded % block == 0]
    for block in HADAMARD_BLOCKS:
        if max(blocks) < block <= largest:
            assert -channels % block > channels // 64


def gated(width: int) -> tuple[Graph, torch.Tensor]:
    """A gated MLP with biases."""
    build, x = Builder(random.Random(0), 0), torch.randn(5, 8, generator=torch.Generator())
    out = build.linear(build.gated(build.feed("x", x), width), 6)
    graph = Graph("vision", build.inputs, build.nodes, (out,), build.weights)
    verify(graph)
    return graph, x


@pytest.mark.parametrize("width", [4, 52, 100])
def test_padding_and_what_follows_change_nothing(width: int) -> None:
    graph, x = gated(width)
    wanted = evaluate(graph, {"x": x})[graph.outputs[0]]
    padded = transform(graph, preparation(R4))
    (mlp,) = gated_mlps(padded)
    whole = padded_channels(width, 256)
    assert mlp.rotation is not None and mlp.product.shape == (5, whole)
    assert relative_error(evaluate(padded, {"x": x})[graph.outputs[0]], wanted) < 1e-5
    (channels,) = gated_channels(padded)
    scaled = scale_gated(padded, {channels: torch.linspace(0.1, 9, whole)})
    assert relative_error(evaluate(scaled, {"x": x})[graph.outputs[0]], wanted) < 1e-5


def test_rows_are_read_as_any_others() -> None:
    graph, _ = gated(52)
    padded = pad_gated(graph, 256)
    for name, weight in padded.weights.items():
        whole = weight.load()
        assert tuple(whole.shape) == weight.shape
        for start, stop in ((0, 5), (50, 60), (53, 64)):
            rows = slice(start, min(stop, len(whole)))
            if rows.start < rows.stop:
                assert torch.equal(weight.read(rows.start, rows.stop), whole[rows])
        own = graph.weights[name].load()
        place = tuple(slice(size) for size in own.shape)
        assert torch.equal(whole[place], own) and whole.count_nonzero() == own.count_nonzero()


def test_whole_blocks_and_rotated_products_stay() -> None:
    graph, _ = gated(32)
    assert pad_gated(graph, 256) == graph
    rotated = rotate_gated(gated(48)[0], 16)
    assert pad_gated(rotated, 256) == rotated


def test_a_second_reader_stands_in_the_way() -> None:
    graph, _ = gated(52)
    (silu,) = (node for node in graph.nodes.values() if node.op == "silu")
    spied = replace(graph, nodes={**graph.nodes, "spy": replace(silu, name="spy")})
    with pytest.raises(GraphError, match="spy reads it as well as silu"):
        pad_gated(spied, 256)
    aside: dict[str, str] = {}
    assert pad_gated(spied, 256, aside) == spied and len(aside) == 1


def test_a_factor_from_no_product_stands_in_the_way() -> None:
    graph, _ = gated(52)
    (product,) = (node for node in graph.nodes.values() if node.op == "mul")
    norm = Node("norm", "rms_norm", (product.inputs[1],), product.shape, attrs={"eps": 1e-6})
    through = replace(product, inputs=(product.inputs[0], "norm"))
    nodes: list[Node] = []
    for node in graph.nodes.values():
        nodes += [norm, through] if node is product else [node]
    with pytest.raises(GraphError, match="a factor comes from no product"):
        pad_gated(graph.with_nodes(nodes, {}), 256)


def test_nothing_is_read_before_it_is_asked_for() -> None:
    graph, _ = gated(52)

    def read(start: int, stop: int) -> torch.Tensor:
        raise AssertionError("padding read a weight")

    pad_gated(graph.with_weights({n: Weight(w.shape, read) for n, w in graph.weights.items()}), 256)
