"""Every transformation alone, and all together, leave the function as it was."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache, lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.families.models import write_model
from tests.graphs import captured, language_feeds, relative_error, rotated, vision_feeds
from vlmforge.capture.component import capture
from vlmforge.config import CompileConfig, EquivalentTransformationConfig
from vlmforge.families import qwen2_5_vl
from vlmforge.families.registry import families
from vlmforge.graph.core import Graph, Weight
from vlmforge.graph.evaluate import evaluate
from vlmforge.graph.ops import NORMS
from vlmforge.graph.residual import residual, stream_width
from vlmforge.images import feeds as program_feeds
from vlmforge.images.grid import Grid
from vlmforge.images.layout import DYNAMIC
from vlmforge.source.checkpoint import Checkpoint
from vlmforge.source.pictures import pictures_for
from vlmforge.transform.choose import scales as scales_module
from vlmforge.transform.choose.learn import rotations as rotations_module
from vlmforge.transform.choose.rotations import choose_rotations
from vlmforge.transform.choose.scales import scale
from vlmforge.transform.choose.smoothing import Channels
from vlmforge.transform.choose.statistics import Statistics, collect
from vlmforge.transform.hadamard import random_rotation
from vlmforge.transform.order import preparation, rotations, transform
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

NOISE = 2e-5

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


Component = tuple[Graph, dict[str, Tensor]]

DECODERS = {name: family for name, family in families().items() if family.tower is None}
"""Families of plain decoders, by architecture."""


@lru_cache(maxsize=1)
def components(model: Path, windows: Path) -> dict[str, Component]:
    """Graph and feeds of each component of models that see."""
    _, language, vision = captured(model)
    return {
        "language": (language, language_feeds(language)),
        "vision": (vision, vision_feeds()),
        "windows": windowed(windows),
    }


def windowed(model: Path) -> Component:
    """A vision encoder of Qwen2.5-VL, and an image whose windows are cut at both edges."""
    checkpoint, grid = Checkpoint.open(str(model)), Grid(1, 4, 5)
    graph = capture(checkpoint, "vision", pictures_for(checkpoint, DYNAMIC))
    patches = np.random.default_rng(0).standard_normal((4 * grid.tokens, 1176), np.float32)
    feeds = program_feeds.vision_feeds(graph.meta)(patches, grid)
    return graph, {name: torch.from_numpy(array) for name, array in feeds.items()}


@pytest.fixture(scope="module")
def windows(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(qwen2_5_vl.FAMILY, tmp_path_factory.mktemp("windows") / "Window-VL")


@cache
def decoder_component(architecture: str) -> Component:
    """Graph and feeds of a plain decoder, its weights read."""
    with TemporaryDirectory() as kept:
        family, directory = DECODERS[architecture], Path(kept) / "Random-Model"
        write_model(family, directory, dtype=torch.float32)
        graph = capture(Checkpoint.open(str(directory)), "language")
        read = {name: Weight.of(weight.load()) for name, weight in graph.weights.items()}
    return graph.with_weights(read), language_feeds(graph)


@pytest.fixture(params=["language", "vision", "windows", *DECODERS])
def component(request: pytest.FixtureRequest, tiny_checkpoint: Path, windows: Path) -> Component:
    if request.param in DECODERS:
        return decoder_component(request.param)
    return components(tiny_checkpoint, windows)[request.param]


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
    return centre_residual(fold_norms(graph, {}))


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
    return norms_scaled(centre_residual(fold_norms(graph, {})), feeds)


@pytest.mark.parametrize(
    "rewrite",
    [
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
    ],
)
def test_alone(
    component: Component, rewrite: Callable[[Graph, Mapping[str, Tensor]], Graph]
) -> None:
    graph, feeds = component
    (name,) = graph.outputs
    got = evaluate(rewrite(graph, feeds), feeds)[name]
    assert relative_error(got, evaluate(graph, feeds)[name]) < NOISE


def test_norm_folding_leaves_norms_of_heads_alone_with_weights(component: Component) -> None:
    graph, _ = component
    kept = [n for n in fold_norms(graph, {}).nodes.values() if n.op in NORMS and n.weights]
    assert kept == [n for n in graph.nodes.values() if "group" in n.attrs]


@pytest.mark.parametrize("component", ["language", *DECODERS], indirect=True)
def test_r1_of_a_text_model(component: Component) -> None:
    graph, feeds = component
    matrix = random_rotation(stream_width(graph), 0)
    turned = rotate_residual(fold_norms(graph, {}), matrix)
    got = evaluate(turned, rotated(feeds, matrix))["lm_head"]
    assert relative_error(got, evaluate(graph, feeds)["lm_head"]) < NOISE


@pytest.mark.parametrize("component", ["vision", "windows"], indirect=True)
def test_r1_inside_a_vision_encoder(component: Component) -> None:
    graph, feeds = component
    prepared, matrix = centre_residual(fold_norms(graph)), random_rotation(stream_width(graph), 0)
    turned = rotate_residual(prepared, matrix)
    seen: dict[str, Tensor] = {}
    got = evaluate(turned, feeds, observe=seen.__setitem__)["model_merger_fc2"]
    assert relative_error(got, evaluate(graph, feeds)["model_merger_fc2"]) < NOISE
    straight: dict[str, Tensor] = {}
    evaluate(prepared, feeds, observe=straight.__setitem__)
    last = residual(turned).values[-1]
    assert relative_error(seen[last], (straight[last].double() @ matrix).float()) < NOISE


@pytest.mark.parametrize("component", ["vision", "windows"], indirect=True)
def test_head_rotation(component: Component) -> None:
    graph, feeds = component
    matrix = random_rotation(96, 0)
    want = (evaluate(graph, feeds)["model_merger_fc2"].double() @ matrix).float()
    got = evaluate(rotate_head(graph, matrix), feeds)["model_merger_fc2"]
    assert relative_error(got, want) < NOISE


@pytest.mark.parametrize("component", ["windows"], indirect=True)
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
    chosen, head = (
        choose_rotations(prepared, [lambda: dict(feeds)], settings, turned=True),
        random_rotation(96, 7),
    )
    assert chosen.residual is not None
    assert chosen.residual.shape == (stream_width(graph),) * 2
    vision = graph.component == "vision"
    turned = transform(
        prepared, rotations(config, chosen.residual, chosen.values, head if vision else None)
    )
    given = feeds if vision else rotated(feeds, chosen.residual)
    result = scale(turned, [lambda: dict(given)], settings)
    (name,) = graph.outputs
    want = evaluate(graph, feeds)[name]
    want = (want.double() @ head).float() if vision else want
    assert relative_error(evaluate(result, given)[name], want) < NOISE
    normed = any("group" in node.attrs for node in graph.nodes.values())
    assert set(result.meta.get("aside", {})) == (
        {"norm folding", "QkRotation"} if normed else set()
    )
