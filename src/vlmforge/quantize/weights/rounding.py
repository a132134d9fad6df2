"""Which format each product's weight takes, and who rounds it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Protocol

import numpy as np
from torch import Tensor

from vlmforge.config import CompileConfig, HessianQuantConfig
from vlmforge.errors import ConfigError
from vlmforge.graph.core import Graph, Node
from vlmforge.graph.ops import PRODUCTS
from vlmforge.progress import Progress
from vlmforge.quantize.learn.quantized_path import QuantizedPath
from vlmforge.quantize.roles import product_roles
from vlmforge.quantize.scales.choice import Scales
from vlmforge.quantize.scheme import require_nodes
from vlmforge.quantize.weights.bias import least_scales, real_bias
from vlmforge.quantize.weights.compensate import Compensation, compensate
from vlmforge.quantize.weights.formats import QuantizedWeight, WeightFormat, quantize_weight
from vlmforge.quantize.weights.hessian import hessian_of
from vlmforge.tasks.here import HERE
from vlmforge.tasks.tasks import Tasks


class Rounding(Protocol):
    """Quantizes the weights of products, asked for in the order of the graph."""

    def quantize(self, product: Node, smallest: np.ndarray | None) -> QuantizedWeight:
        """The product's weight; ``smallest`` float64 ``[out]`` bounds its scales from below."""
        ...

    def settle(self, product: Node, weight: QuantizedWeight) -> None:
        """Take over the weight of the next product instead of quantizing it."""
        ...


def weight_formats(
    graph: Graph, config: CompileConfig, wide_nodes: Iterable[str]
) -> dict[str, WeightFormat]:
    """The format of every product's weight.

    A convolution is int8 always: it embeds patches and belongs to no transformer layer.

    Args:
        graph: the component.
        config: the bits of each role, the columns of a group, and whose scales are searched.
        wide_nodes: products whose weight is int8 whatever the configuration says.
    """
    wide = set(wide_nodes)
    _require_products(graph, wide)
    bits, search = config.bit.transformer, config.search_weight_scale
    formats = {}
    for name, role in product_roles(graph).items():
        narrow = getattr(bits.weight, role) == 4 and name not in wide
        narrow = narrow and graph.nodes[name].op != "conv2d"
        searched = search.apply and getattr(search.transformer, _SEARCH.get(role, role))
        formats[name] = WeightFormat(4, bits.weight_group, searched) if narrow else WeightFormat()
    return formats


_SEARCH = {"output": "out"}
"""Roles that ``searchWeightScale`` calls otherwise than ``bit``."""


def choose_rounding(
    graph: Graph,
    formats: Mapping[str, WeightFormat],
    config: HessianQuantConfig.Attributes,
    path: QuantizedPath | None,
    tasks: Tasks = HERE,
) -> Rounding:
    """Error compensation, or rounding to nearest.

    Args:
        graph: the transformed component.
        formats: of every product's weight.
        config: how to compensate.
        path: that of the samples whose errors are compensated for; None to round to nearest.
        tasks: who compensates.
    """
    if path is None:
        return NearestRounding(graph, formats)
    settings = Compensation(config.perc_damp, config.act_order, config.block_size)
    return CompensatedRounding(graph, formats, path, settings, tasks)


def _require_products(graph: Graph, names: Iterable[str]) -> None:
    require_nodes(graph, names)
    for name in names:
        if graph.nodes[name].op not in PRODUCTS:
            raise ConfigError(
                f"{name!r} has no weight of 8 or 4 bits: it is no product",
                mend="remove it from layerOverrides.weight8Bits",
            )


class NearestRounding:
    """Rounds each weight for itself."""

    def __init__(self, graph: Graph, formats: Mapping[str, WeightFormat]) -> None:
        self._graph, self._formats = graph, formats

    def quantize(self, product: Node, smallest: np.ndarray | None) -> QuantizedWeight:
        """See :class:`Rounding`."""
        weight = self._graph.weights[product.weights["weight"]]
        return quantize_weight(weight, self._formats[product.name], smallest)

    def settle(self, product: Node, weight: QuantizedWeight) -> None:
        """See :class:`Rounding`; no weight depends on another."""


class CompensatedRounding:
    """Rounds each weight for the inputs it will meet: those of the quantized products before it."""

    def __init__(
        self,
        graph: Graph,
        formats: Mapping[str, WeightFormat],
        path: QuantizedPath,
        settings: Compensation,
        tasks: Tasks = HERE,
    ) -> None:
        self._graph, self._formats, self._path = graph, formats, path
        self._settings, self._tasks = settings, tasks
        self._hessian: tuple[str, Tensor] | None = None

    def quantize(self, product: Node, smallest: np.ndarray | None) -> QuantizedWeight:
        """See :class:`Rounding`."""
        weight = self._graph.weights[product.weights["weight"]]
        hessian, chosen = self._hessian_of(product), self._formats[product.name]
        quantized = compensate(weight, hessian, chosen, self._settings, smallest, self._tasks)
        self._path.settle(product, quantized)
        return quantized

    def settle(self, product: Node, weight: QuantizedWeight) -> None:
        """See :class:`Rounding`; samples pass up to the product, so that few weights are held."""
        self._path.advance(product)
        self._path.settle(product, weight)

    def _hessian_of(self, product: Node) -> Tensor:
        """The damped Hessian; products that read the same value one after the other share it."""
        name = product.inputs[0]
        if self._hessian is None or self._hessian[0] != name:
            self._hessian = None
            size = math.prod(self._graph.weights[product.weights["weight"]].shape[1:])
            total = hessian_of(size, self._path.grid(product), self._path.device)
            for rows in self._path.rows(product):
                total.add(rows)
            self._hessian = name, total.damped(self._settings.damping)
        return self._hessian[1]


def settled_weights(
    graph: Graph,
    codes: Mapping[str, str],
    scales: Scales,
    rounding: Rounding,
    progress: Progress | None = None,
) -> tuple[dict[str, QuantizedWeight], dict[str, np.ndarray | None]]:
    """The weights of all products, and what bounds their scales from below, by product."""
    products = [node for node in graph.nodes.values() if node.op in PRODUCTS]
    weights: dict[str, QuantizedWeight] = {}
    bounds: dict[str, np.ndarray | None] = {}
    for done, node in enumerate(products, start=1):
        bounds[node.name] = least_scales(graph, node, real_bias(graph, node, scales), codes, scales)
        weights[node.name] = rounding.quantize(node, bounds[node.name])
        if progress is not None:
            progress(f"rounding the {graph.component} model", done, len(products))
    return weights, bounds


class SettledRounding:
    """Gives weights that were quantized before, by the name of their product."""

    def __init__(self, weights: Mapping[str, QuantizedWeight]) -> None:
        self._weights = weights

    def quantize(self, product: Node, smallest: np.ndarray | None) -> QuantizedWeight:
        """See :class:`Rounding`; the bound was known when the weight was quantized."""
        return self._weights[product.name]

    def settle(self, product: Node, weight: QuantizedWeight) -> None:
        """See :class:`Rounding`; all weights are known."""
