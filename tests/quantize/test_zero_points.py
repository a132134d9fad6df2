"""Zero points: the codes of one-sided values, and the products that take them back."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.graphs import captured, vision_feeds
from tests.quantize.lowered import lowered
from vlmforge.config import CompileConfig
from vlmforge.graph.core import Graph, Weight
from vlmforge.graph.evaluate import evaluate
from vlmforge.graph.ops import ACTIVATIONS, PRODUCTS
from vlmforge.machine.reference.machine import ReferenceMachine
from vlmforge.quantize.learn.quantized_path import QuantizedPath
from vlmforge.quantize.observe.clipping import Clipping
from vlmforge.quantize.observe.ranges import Range
from vlmforge.quantize.scales.choice import Scales, choose_scales
from vlmforge.quantize.scheme import assign_codes, one_sided
from vlmforge.quantize.weights.bias import bias_codes
from vlmforge.quantize.weights.formats import WeightFormat, quantize_weight
from vlmforge.quantize.weights.rounding import SettledRounding

MODES = {"max": 0, "percentile": 1, "histogram": 2}


def chosen(graph: Graph, method: int, mode: int) -> tuple[dict[str, str], Scales]:
    config = CompileConfig.parse({"calibration": {"method": method, "mode": mode}})
    clipping, codes = Clipping.of(graph, config), assign_codes(graph, ())
    ranges = clipping.observe(graph, [lambda seed=seed: vision_feeds(seed) for seed in range(3)])
    return codes, choose_scales(graph, codes, ranges, clipping.bound)


def observed(value: torch.Tensor) -> Range:
    statistics = Range(shifted=True)
    statistics.update(value, 0.0)
    return statistics


def scales_of(statistics: Range) -> tuple[float, int]:
    """What int8 codes of a value with these statistics get, without clipping."""
    graph = Graph("vision", {}, {}, ("y",), {})
    scales = choose_scales(graph, {"y": "int8"}, {"y": statistics}, Range.bound)
    return scales.tensor["y"], scales.zero_points["y"]


@given(st.floats(-10, 10, width=32), st.floats(0.0009765625, 100, width=32))
def test_the_codes_reach_the_lowest_and_the_highest_value(low: float, width: float) -> None:
    ends = torch.tensor([[low], [low + width]])
    scale, zero_point = scales_of(observed(ends))
    reach = scale * (torch.tensor([-127.0, 127.0]) - zero_point)
    assert abs(zero_point) <= 127
    assert reach[0] <= min(low, 0) + 1e-4 * scale and reach[1] >= (low + width) - 1e-3 * scale
    sides = max(0.0, -low) + max(0.0, low + width)
    assert scale == pytest.approx(sides / 253, rel=1e-4), "no code is wasted"


def test_a_value_that_is_always_zero_has_a_scale() -> None:
    scale, zero_point = scales_of(observed(torch.zeros(2, 3)))
    assert scale > 0 and abs(zero_point) <= 127


@given(st.integers(0, 999), st.integers(-127, 127), st.sampled_from([None, 0, 32]), st.booleans())
def test_the_bias_takes_the_zero_point_back(
    seed: int, zero_point: int, group: int | None, biased: bool
) -> None:
    random = np.random.default_rng(seed)
    real, bias = random.normal(size=(5, 70)), random.normal(size=5) if biased else None
    weight_format = WeightFormat() if group is None else WeightFormat(4, group or None)
    weight = quantize_weight(Weight.of(torch.from_numpy(real).float()), weight_format)
    codes = random.integers(-127, 128, 70)
    found = bias_codes(bias, weight, 0.01, zero_point, "int8")
    plain = bias_codes(bias, weight, 0.01, 0, "int8")
    groups = np.arange(70) // (weight.group or 70)
    scales = 1 if weight.group_scale is None else weight.group_scale[:, groups].astype(np.int64)
    product = weight.codes.astype(np.int64) * scales
    shifted = product @ codes + (0 if found is None else found)
    assert np.array_equal(shifted, product @ (codes - zero_point) + (0 if plain is None else plain))


def test_only_activation_functions_that_products_read_are_shifted(tiny_checkpoint: Path) -> None:
    _, language, vision = captured(tiny_checkpoint)
    assert one_sided(language) == set(), "a gate multiplies what silu gives"
    codes, scales = chosen(vision, 3, 2)
    activations = {n.name for n in vision.nodes.values() if n.op in ACTIVATIONS}
    assert one_sided(vision) == activations
    assert set(scales.zero_points) == {name for name in activations if codes[name] == "int8"}
    assert all(scales.zero_points.values())
    assert chosen(vision, 1, 2)[1].zero_points == {}


def test_wider_codes_have_none() -> None:
    graph, statistics = Graph("vision", {}, {}, ("y",), {}), observed(torch.tensor([[-0.1, 5.0]]))
    assert choose_scales(graph, {"y": "int16"}, {"y": statistics}, Range.bound).zero_points == {}


@pytest.mark.parametrize("mode", MODES.values(), ids=MODES)
def test_they_lower_the_error(tiny_checkpoint: Path, mode: int) -> None:
    vision, feeds = captured(tiny_checkpoint)[2], vision_feeds(7)
    value, exact, errors = sorted(one_sided(vision))[0], {}, []
    evaluate(vision, feeds, observe=exact.__setitem__)
    for method in (1, 3):
        scales = chosen(vision, method, mode)[1]
        centre = scales.centre(value) or 0.0
        scaled = ((exact[value] - centre) / scales.tensor[value]).round().clamp(-127, 127)
        errors.append((scaled * scales.tensor[value] + centre - exact[value]).square().sum())
    assert errors[1] < 0.6 * errors[0]


def followed(vision: Graph, method: int, mode: int) -> float:
    """Squared distance of the quantized path from the machine, over the machine's error."""
    feeds, (name,) = vision_feeds(7), vision.outputs
    codes, scales = chosen(vision, method, mode)
    weights = {
        node.name: quantize_weight(vision.weights[node.weights["weight"]])
        for node in vision.nodes.values()
        if node.op in PRODUCTS
    }
    program = lowered(vision, codes, scales, SettledRounding(weights))
    given = {key: tensor.numpy() for key, tensor in feeds.items()}
    machine = torch.from_numpy(ReferenceMachine(program).run(given)[name])
    path = QuantizedPath(vision, codes, scales, [lambda: feeds])
    for product, weight in weights.items():
        path.settle(vision.nodes[product], weight)
    (rows,) = path.rows(vision.nodes[name])
    bias = vision.weight(vision.nodes[name], "bias")
    assert bias is not None
    grid = path.grid(vision.nodes[name])
    assert grid is not None
    imitated = grid.real(rows) @ weights[name].dequantized().T + bias.load()
    exact = evaluate(vision, feeds)[name]
    return float((imitated - machine).square().sum() / (machine - exact).square().sum())


@pytest.mark.parametrize("mode", MODES.values(), ids=MODES)
def test_the_machine_follows_the_quantized_path(tiny_checkpoint: Path, mode: int) -> None:
    vision = captured(tiny_checkpoint)[2]
    assert followed(vision, 3, mode) < 1.5 * followed(vision, 1, mode) + 0.01
