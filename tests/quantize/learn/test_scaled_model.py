"""The model whose weight scales are learned computes what the integer program computes."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tests.graphs import captured, language_feeds, relative_error, vision_feeds
from tests.quantize.lowered import lowered
from vlmforge.graph.core import Graph, Weight
from vlmforge.graph.evaluate import compute, evaluate, traverse
from vlmforge.graph.ops import PRODUCTS
from vlmforge.graph.scaling import multiply_norms
from vlmforge.machine.reference.machine import ReferenceMachine
from vlmforge.quantize.learn.scaled_model import ScaledModel
from vlmforge.quantize.observe.ranges import Range, observe
from vlmforge.quantize.scales.choice import Scales, choose_scales
from vlmforge.quantize.scheme import assign_codes
from vlmforge.quantize.weights.formats import QuantizedWeight, WeightFormat, quantize_weight
from vlmforge.quantize.weights.rounding import SettledRounding

COMPONENTS = {"language": 1, "vision": 2}


def feeds_of(graph: Graph) -> dict[str, torch.Tensor]:
    return language_feeds(graph, 24, 5) if graph.component == "language" else vision_feeds(5)


def rounded(graph: Graph) -> dict[str, QuantizedWeight]:
    four = WeightFormat(4, 32, search=True)
    products = [node for node in graph.nodes.values() if node.op in PRODUCTS]
    return {
        node.name: quantize_weight(
            graph.weights[node.weights["weight"]], four if node.op == "linear" else None
        )
        for node in products
    }


def dequantized(graph: Graph, weights: dict[str, QuantizedWeight], factor: torch.Tensor) -> Graph:
    """The float graph of the rounded weights; ``factor`` scales the first output channels."""
    held = {}
    for name, weight in weights.items():
        key = graph.nodes[name].weights["weight"]
        real = weight.dequantized()
        scaled = torch.cat([real[: len(factor)] * factor[:, None], real[len(factor) :]])
        tensor = scaled.reshape(graph.weights[key].shape)
        held[key] = Weight(tuple(tensor.shape), lambda a, b, tensor=tensor: tensor[a:b])
    return graph.with_weights(held)


@pytest.mark.parametrize("component", COMPONENTS)
def test_gradients_are_those_of_the_scaled_weights(tiny_checkpoint: Path, component: str) -> None:
    graph = captured(tiny_checkpoint)[COMPONENTS[component]]
    weights, feeds = rounded(graph), feeds_of(graph)
    floats = dict.fromkeys((*graph.inputs, *graph.nodes), "float32")
    model = ScaledModel(graph, floats, Scales(), weights)
    factor = torch.full((8,), 1.1, requires_grad=True)
    plain = dequantized(graph, weights, factor)
    wanted = traverse(plain, feeds, lambda node, values: compute(plain, node, values))
    for name in weights:
        model.factors[name][:8] = 1.1
        model.factors[name].requires_grad_()
    output = model.run(feeds)
    assert relative_error(output.detach(), wanted[graph.outputs[0]].detach()) < 1e-4
    output.square().sum().backward()
    wanted[graph.outputs[0]].square().sum().backward()
    assert factor.grad is not None
    gradients = [model.factors[name].grad for name in weights]
    total = sum(gradient[:8] for gradient in gradients if gradient is not None)
    assert isinstance(total, torch.Tensor)
    assert relative_error(total, factor.grad) < 1e-3


@pytest.mark.parametrize("component", COMPONENTS)
def test_it_follows_the_machine(tiny_checkpoint: Path, component: str) -> None:
    graph = captured(tiny_checkpoint)[COMPONENTS[component]]
    feeds, codes = feeds_of(graph), assign_codes(graph, ())
    scales = choose_scales(graph, codes, observe(graph, [lambda: feeds]), Range.bound)
    weights = rounded(graph)
    model = ScaledModel(graph, codes, scales, weights)
    factors = {n: torch.linspace(0.9, 1.1, len(f)).double() for n, f in model.factors.items()}
    for name, factor in factors.items():
        model.factors[name].copy_(factor)
    settled = SettledRounding({n: w.scaled(factors[n].numpy(), None) for n, w in weights.items()})
    norms = {n: factor for n, factor in factors.items() if n not in weights}
    scaled = multiply_norms(graph, norms)
    program = lowered(scaled, codes, scales, settled)
    (name,) = graph.outputs
    machine = ReferenceMachine(program).run({key: t.numpy() for key, t in feeds.items()})[name]
    exact, found = evaluate(graph, feeds)[name], model.run(feeds)
    rounding = (found - exact).square().sum()
    assert (found - torch.from_numpy(machine)).square().sum() < 0.01 * rounding
