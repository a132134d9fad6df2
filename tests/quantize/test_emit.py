"""A graph of dynamic dimensions becomes one program for all sizes."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import pytest
import torch

from tests.graphs import merging_feeds, merging_graph
from tests.quantize.lowered import lowered
from vlmforge.graph.evaluate import evaluate
from vlmforge.graph.ops import PRODUCTS
from vlmforge.machine.machine import IMPLEMENTATIONS, Request, open_machine
from vlmforge.program.core import Program
from vlmforge.program.verify import verify
from vlmforge.quantize.observe.ranges import Range, observe
from vlmforge.quantize.scales.choice import choose_scales
from vlmforge.quantize.scheme import assign_codes
from vlmforge.quantize.weights.formats import quantize_weight
from vlmforge.quantize.weights.rounding import SettledRounding

SIZES = (1, 2, 6, 9)


@lru_cache(maxsize=1)
def program() -> Program:
    graph = merging_graph()
    codes = assign_codes(graph, ())
    feeds = [merging_feeds(groups, seed=groups) for groups in SIZES]
    ranges = observe(graph, [lambda each=each: each for each in feeds])  # type: ignore[misc]
    scales = choose_scales(graph, codes, ranges, Range.bound)
    weights = {
        node.name: quantize_weight(graph.weights[node.weights["weight"]])
        for node in graph.nodes.values()
        if node.op in PRODUCTS
    }
    return lowered(graph, codes, scales, SettledRounding(weights))


def test_the_program_keeps_the_dimensions() -> None:
    verify(program())
    graph = merging_graph()
    assert {name: program().buffers[name].shape for name in graph.nodes} == {
        name: node.shape for name, node in graph.nodes.items()
    }
    (merged,) = (step for step in program().instructions if step.op == "reshape")
    assert merged.attrs["shape"] == ["groups", 32]


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
def test_samples_of_every_size(implementation: str) -> None:
    machine = open_machine(program(), implementation)
    samples = [merging_feeds(groups, seed=groups) for groups in SIZES]
    requests = [Request({name: t.numpy() for name, t in feeds.items()}) for feeds in samples]
    for feeds, request, outputs in zip(samples, requests, machine.run_batch(requests), strict=True):
        exact = evaluate(merging_graph(), feeds)["fc2"]
        found = torch.from_numpy(outputs["fc2"])
        assert found.shape == exact.shape
        assert (found - exact).square().sum() < 1e-2 * exact.square().sum()
        np.testing.assert_array_equal(machine.run(request.inputs)["fc2"], outputs["fc2"])
