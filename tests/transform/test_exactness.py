"""Every transformation alone, and all together, leave the function of every family as it was."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
import torch
from torch import Tensor

from tests.families.components import COMPONENTS, Component, component_of, in_dtype, times, turned
from tests.graphs import captured, relative_error, vision_feeds
from vlmforge.config import CompileConfig, EquivalentTransformationConfig
from vlmforge.families.family import VISION
from vlmforge.graph.core import Graph
from vlmforge.graph.evaluate import evaluate
from vlmforge.graph.ops import NORMS
from vlmforge.graph.residual import residual, stream_width
from vlmforge.graph.tables import input_tables
from vlmforge.transform.choose import scales as scales_module
from vlmforge.transform.choose.learn import rotations as rotations_module
from vlmforge.transform.choose.rotations import choose_rotations
from vlmforge.transform.choose.scales import scale
from vlmforge.transform.choose.smoothing import Channels
from vlmforge.transform.choose.statistics import Statistics, collect
from vlmforge.transform.hadamard import random_rotation
from vlmforge.transform.mean_keeping import mean_keeping_rotation, normalizes_mean
from vlmforge.transform.order import Pass, preparation, rotations, transform
from vlmforge.transform.passes.centering import centre_residual
from vlmforge.transform.passes.channel_padding import pad_gated
from vlmforge.transform.passes.gated_rotation import rotate_gated
from vlmforge.transform.passes.head_rotation import rotate_head
from vlmforge.transform.passes.mlp_scaling import gated_channels, scale_gated
from vlmforge.transform.passes.norm_folding import fold_norms
from vlmforge.transform.passes.norm_scaling import norm_channels, scale_norms
from vlmforge.transform.passes.query_key_rotation import best_angles, rotate_keys
from vlmforge.transform.passes.query_key_scaling import balanced_key_scales, scale_keys
from vlmforge.transform.passes.residual_rotation import rotate_residual
from vlmforge.transform.passes.untying import untie
from vlmforge.transform.passes.value_rotation import random_value_rotations, rotate_values
from vlmforge.transform.passes.value_scaling import scale_values, value_channels
from vlmforge.transform.precision import Precision
from vlmforge.transform.settings import Settings

NOISE = {torch.float32: 2e-5, torch.float64: 1e-10}
"""Largest error relative to the largest output, by the dtype of weights and values.

In float64 it is so small that a single rounding to float32 on the way would show.
"""

LEARNABLE = ("QK", "UD", "VO", "SpinR1", "SpinR2", "NormConv")
EVERYTHING, LEARNED = (
    CompileConfig.parse(
        {
            "equivalentTransformation": {"QkRotation": {"apply": True}}
            | {name: {"apply": True, "learn": learn} for name in LEARNABLE}
        }
    )
    .by_default()
    .equivalent_transformation
    for learn in (False, True)
)


def eight_bits(graph: Graph) -> Precision:
    """What attention and products read is int8, everything else int16; weights are int4."""
    reading = [n for n in graph.nodes.values() if n.op in ("linear", "attention")]
    activations = dict.fromkeys(graph.nodes, "int16")
    activations |= {name: "int8" for node in reading for name in node.inputs[:3]}
    operands = {name for n in reading if n.op == "attention" for name in n.inputs[:3]}
    return Precision(activations, dict.fromkeys(graph.nodes, 4), channelwise=frozenset(operands))


FIXED = ("Qwen2VLForConditionalGeneration", "fixed")
"""An encoder of images of one size."""


@pytest.fixture(params=NOISE, ids=lambda dtype: str(dtype).removeprefix("torch."))
def dtype(request: pytest.FixtureRequest) -> torch.dtype:
    found: torch.dtype = request.param
    return found


@pytest.fixture(params=[*COMPONENTS, FIXED], ids="-".join)
def component(
    request: pytest.FixtureRequest, tiny_checkpoint: Path, dtype: torch.dtype
) -> Component:
    if request.param == FIXED:
        return in_dtype((captured(tiny_checkpoint)[2], vision_feeds()), dtype)
    return in_dtype(component_of(*request.param), dtype)


def require_same(
    component: Component,
    changed: Graph,
    given: Mapping[str, Tensor],
    head: Tensor | None = None,
) -> None:
    """The outputs of the changed graph are those of the component, multiplied by ``head``."""
    graph, feeds = component
    dtype = next(t.dtype for t in feeds.values() if t.is_floating_point())
    found = evaluate(*in_dtype((changed, dict(given)), dtype))
    wanted = evaluate(graph, feeds)
    assert found.keys() == wanted.keys()
    for name, value in wanted.items():
        assert found[name].dtype == dtype
        value = value if head is None else times(value, head)
        assert relative_error(found[name], value) < NOISE[dtype], name


def statistics(graph: Graph, feeds: Mapping[str, Tensor]) -> Statistics:
    return collect(graph, [lambda: dict(feeds)], pairs=True)


def wild(channels: Mapping[str, Channels], graph: Graph) -> dict[str, Tensor]:
    """Scales over two orders of magnitude, equal where they are tied."""
    generator = torch.Generator().manual_seed(5)
    found = {}
    for name, each in channels.items():
        size = graph.value(name).shape[-1]
        assert isinstance(size, int)
        found[name] = each.tied((torch.randn(size, generator=generator) * 1.5).exp())
    return found


def untied(graph: Graph, feeds: Mapping[str, Tensor]) -> Graph:
    return untie(graph)


def folded(graph: Graph, feeds: Mapping[str, Tensor]) -> Graph:
    return fold_norms(graph, {})


def centred(graph: Graph, feeds: Mapping[str, Tensor]) -> Graph:
    """Centred where centring applies: LayerNorms that read rows side by side stay."""
    return Pass("centring", "", centre_residual)(fold_norms(graph, {}))


def value_rotated(graph: Graph, feeds: Mapping[str, Tensor]) -> Graph:
    return rotate_values(graph, random_value_rotations(graph, 1))


def keys_balanced(graph: Graph, feeds: Mapping[str, Tensor]) -> Graph:
    return scale_keys(graph, balanced_key_scales(graph, statistics(graph, feeds)))


def keys_turned(graph: Graph, feeds: Mapping[str, Tensor]) -> Graph:
    return rotate_keys(graph, best_angles(graph, statistics(graph, feeds)))


def values_scaled(graph: Graph, feeds: Mapping[str, Tensor]) -> Graph:
    return scale_values(graph, wild(value_channels(graph), graph))


def gated_scaled(graph: Graph, feeds: Mapping[str, Tensor]) -> Graph:
    return scale_gated(graph, wild(gated_channels(graph), graph))


def gated_rotated(graph: Graph, feeds: Mapping[str, Tensor]) -> Graph:
    return rotate_gated(graph, 256)


def padded_gated_rotated(graph: Graph, feeds: Mapping[str, Tensor]) -> Graph:
    return gated_scaled(rotate_gated(pad_gated(graph, 256), 256), feeds)


def rotated_gated_scaled(graph: Graph, feeds: Mapping[str, Tensor]) -> Graph:
    return gated_scaled(rotate_gated(graph, 16), feeds)


def norms_scaled(graph: Graph, feeds: Mapping[str, Tensor]) -> Graph:
    return scale_norms(graph, wild(norm_channels(graph), graph))


def folded_norms_scaled(graph: Graph, feeds: Mapping[str, Tensor]) -> Graph:
    return norms_scaled(centred(graph, feeds), feeds)


REWRITES = [
    untied,
    folded,
    centred,
    value_rotated,
    keys_balanced,
    keys_turned,
    values_scaled,
    gated_scaled,
    gated_rotated,
    padded_gated_rotated,
    rotated_gated_scaled,
    norms_scaled,
    folded_norms_scaled,
]


@pytest.mark.parametrize("rewrite", REWRITES)
def test_alone(
    component: Component, rewrite: Callable[[Graph, Mapping[str, Tensor]], Graph]
) -> None:
    graph, feeds = component
    require_same(component, rewrite(graph, feeds), feeds)


def test_norm_folding_leaves_norms_of_heads_alone_with_weights(component: Component) -> None:
    graph, _ = component
    kept = [n for n in fold_norms(graph, {}).nodes.values() if n.op in NORMS and n.weights]
    assert kept == [n for n in graph.nodes.values() if "group" in n.attrs]


def test_r1(component: Component) -> None:
    graph, feeds = component
    prepared = centred(graph, feeds)
    draw = mean_keeping_rotation if normalizes_mean(prepared) else random_rotation
    matrix = draw(stream_width(graph), 0)
    rotated, given = rotate_residual(prepared, matrix), turned(prepared, feeds, matrix)
    require_same(component, rotated, given)
    seen: list[dict[str, Tensor]] = [{}, {}]
    for found, changed, rows in zip(seen, (prepared, rotated), (feeds, given), strict=True):
        evaluate(changed, rows, observe=found.__setitem__)
    straight, width = seen[0], len(matrix)
    stream = residual(rotated).values
    last = [name for name in stream if rotated.value(name).shape[-1] == width][-1]
    noise = NOISE[straight[last].dtype]
    assert relative_error(seen[1][last], times(straight[last], matrix)) < noise
    for table in input_tables(graph).values():
        wanted = times(graph.weights[table].load(), matrix)
        assert relative_error(rotated.weights[table].load(), wanted) < noise


@pytest.mark.parametrize(
    "component", [*(each for each in COMPONENTS if each[1] == VISION), FIXED], indirect=True
)
def test_head_rotation(component: Component) -> None:
    graph, feeds = component
    width = graph.value(graph.outputs[0]).shape[-1]
    assert isinstance(width, int)
    matrix = random_rotation(width, 0)
    require_same(component, rotate_head(graph, matrix), feeds, matrix)


@pytest.mark.parametrize(
    "component", [("Qwen2_5_VLForConditionalGeneration", VISION)], indirect=True
)
def test_nothing_stands_in_the_way_of_a_gated_tower(component: Component) -> None:
    graph, _ = component
    prepared = transform(graph, preparation(EVERYTHING))
    assert "aside" not in prepared.meta
    rotated = [node for node in prepared.nodes.values() if node.op == "hadamard"]
    assert [(node.shape[-1], node.attrs["block"]) for node in rotated] == [(64, 64)] * 3
    assert not any(node.op == "layer_norm" for node in prepared.nodes.values())


@pytest.mark.parametrize("config", [EVERYTHING, LEARNED], ids=["closed", "learned"])
def test_all_together(
    component: Component,
    monkeypatch: pytest.MonkeyPatch,
    config: EquivalentTransformationConfig,
) -> None:
    monkeypatch.setattr(rotations_module, "STEPS", 3)
    monkeypatch.setattr(scales_module, "STEPS", 3)
    graph, feeds = component
    settings = Settings(config, eight_bits(graph), seed=3)
    prepared = transform(graph, preparation(config))
    single = in_dtype((prepared, feeds), torch.float32)
    chosen = choose_rotations(single[0], [lambda: dict(single[1])], settings, turned=True)
    assert chosen.residual is not None
    assert chosen.residual.shape == (stream_width(graph),) * 2
    head = random_rotation(96, 7) if graph.component == VISION else None
    rotated = transform(prepared, rotations(config, chosen.residual, chosen.values, head))
    given = turned(prepared, feeds, chosen.residual)
    result = scale(rotated, [lambda: dict(given)], settings)
    require_same(component, result, given, head)
    assert set(result.meta.get("aside", {})) == stays(graph)


def stays(graph: Graph) -> set[str]:
    """The passes that leave a part of a graph as it is."""
    if any("group" in node.attrs for node in graph.nodes.values()):
        return {"norm folding", "QkRotation"}
    stream = residual(graph)
    widths = {graph.value(name).shape[-1] for name in stream.values}
    given = graph.component == VISION and len(stream.inputs) > 0
    return {"centring"} if given or len(widths) > 1 else set()
