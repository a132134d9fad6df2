"""Which values become int8 so that int16 inputs keep to their share, and are worth it."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tests.graphs import captured
from vlmforge.config import BitConfig
from vlmforge.quantize.observe.histogram import Histogram
from vlmforge.quantize.observe.ranges import Range
from vlmforge.quantize.scales.narrowing import narrow_products
from vlmforge.quantize.scheme import assign_codes

MLPS = [f"model_layers_{layer}_mlp" for layer in range(3)]


def observed(power: float) -> Range:
    """A range with a tail as heavy as ``power`` makes it."""
    value = torch.randn(50, 100, generator=torch.Generator().manual_seed(0))
    statistics = Range(histogram=Histogram())
    statistics.update(value.abs() ** power, 0.0)
    assert statistics.histogram is not None
    statistics.histogram.update(value.abs() ** power)
    return statistics


RANGES = {name: observed(power) for name, power in zip(MLPS, (4.0, 1.0, 2.0), strict=True)}


@pytest.mark.parametrize(
    ("share", "wide", "narrow"),
    [
        (0.0, (), [*MLPS, "model_norm"]),
        (1.0, (), []),
        (1 / 22, (), MLPS),
        (2 / 22, (), MLPS[1:]),
        (3 / 22, (), MLPS[1:2]),
        (3 / 22, ("model_layers_1_mlp_down_proj",), MLPS[1:]),
        (3 / 22, ("model_layers_1_post_attention_layernorm",), MLPS),
    ],
)
def test_the_last_and_the_heaviest_tails_stay_wide_within_the_share(
    tiny_checkpoint: Path, share: float, wide: tuple[str, ...], narrow: list[str]
) -> None:
    _, graph, _ = captured(tiny_checkpoint)
    bit = BitConfig(activation_16_share=share, activation_16_loss=0.0)
    found = narrow_products(graph, wide, RANGES, Range.bound, bit)
    assert found == set(narrow) - {value for value in MLPS if f"{value}_down_proj" in wide}
    codes = assign_codes(graph, wide, found)
    for name in (*MLPS, "model_norm"):
        assert codes[name] == ("int8" if name in found else "int16")


def test_what_int8_hardly_hurts_is_int8_whatever_the_share(tiny_checkpoint: Path) -> None:
    _, graph, _ = captured(tiny_checkpoint)
    losses = [observed.histogram.loss(observed.bound()) for observed in RANGES.values()]
    bit = BitConfig(activation_16_share=1.0, activation_16_loss=sorted(losses)[1])
    assert narrow_products(graph, (), RANGES, Range.bound, bit) == {MLPS[1]}
