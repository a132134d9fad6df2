"""Queries and keys that attention reads straight from their products, as of SmolLM3."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.families.models import write_model
from tests.graphs import language_feeds
from tests.quantize.lowered import lowered
from vlmforge.capture.component import capture
from vlmforge.config import CompileConfig
from vlmforge.diagnose.scales import buffer_centres, buffer_scales
from vlmforge.families import smollm3
from vlmforge.graph.core import Graph, Weight
from vlmforge.graph.evaluate import evaluate
from vlmforge.machine.reference.machine import ReferenceMachine
from vlmforge.program.verify import verify
from vlmforge.quantize.observe.ranges import Range, observe
from vlmforge.quantize.scales.choice import choose_scales
from vlmforge.quantize.scheme import assign_codes
from vlmforge.quantize.weights.rounding import NearestRounding, weight_formats
from vlmforge.source.checkpoint import Checkpoint

OPERANDS = ("model_layers_1_self_attn_q_proj", "model_layers_1_self_attn_k_proj")


@pytest.fixture
def graph(tmp_path: Path) -> Graph:
    checkpoint = Checkpoint.open(str(write_model(smollm3.FAMILY, tmp_path / "Random-Model")))
    return capture(checkpoint, "language")


@pytest.mark.parametrize("biased", [True, False])
def test_their_codes_are_those_of_a_scale_a_channel(graph: Graph, biased: bool) -> None:
    """A bias of a hundred times what varies costs keys nothing: their centres take it away."""
    key = graph.nodes[OPERANDS[1]]
    name = key.weights["bias"]
    if biased:
        graph = graph.with_weights({name: Weight.of(torch.full(graph.weights[name].shape, 200.0))})
    else:
        bare = replace(key, weights={"weight": key.weights["weight"]})
        graph = graph.with_nodes([bare if n is key else n for n in graph.nodes.values()], {})
    feeds, codes = language_feeds(graph), assign_codes(graph, ())
    ranges = observe(graph, [lambda: dict(feeds)])
    scales = choose_scales(graph, codes, ranges, Range.bound)
    rounding = NearestRounding(graph, weight_formats(graph, CompileConfig(), ()))
    program = lowered(graph, codes, scales, rounding)
    verify(program)
    assert [codes[operand] for operand in OPERANDS] == ["int8", "int8"]
    wanted, found = dict[str, torch.Tensor](), dict[str, np.ndarray]()
    evaluate(graph, feeds, observe=wanted.__setitem__)
    inputs = {name: tensor.numpy() for name, tensor in feeds.items()}
    ReferenceMachine(program).run(inputs, trace=found.__setitem__)
    told = buffer_scales(program)
    centres = buffer_centres(program, told)
    for operand in OPERANDS:
        real = found[operand] * told[operand] + centres.get(operand, 0.0)
        spread = wanted[operand] - wanted[operand].mean(0)
        error = torch.from_numpy(real) - wanted[operand]
        assert error.square().mean() < 0.01 * spread.square().mean()
