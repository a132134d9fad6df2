"""Lowers what ``torch.export`` captured into a graph."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import fx

from vlmforge.dims import Dim, Shape, multiple, parts
from vlmforge.errors import CaptureError
from vlmforge.graph.core import Graph, Node, Value, Weight
from vlmforge.graph.verify import verify


@dataclass(frozen=True)
class Lowering:
    """How the arguments of one captured operator map to a graph node.

    ``parameters`` names each positional argument: an input (``"input"``), a weight role
    (``"weight:bias"``), an attribute (``"attr:eps"``), or nothing (``""``).
    """

    op: str
    parameters: tuple[str, ...]


LOWERINGS: dict[str, Lowering] = {
    "aten.linear.default": Lowering("linear", ("input", "weight:weight", "weight:bias")),
    "aten.rms_norm.default": Lowering("rms_norm", ("input", "", "weight:weight", "attr:eps")),
    "aten.layer_norm.default": Lowering(
        "layer_norm", ("input", "", "weight:weight", "weight:bias", "attr:eps", "")
    ),
    "aten.add.Tensor": Lowering("add", ("input", "input")),
    "aten.mul.Tensor": Lowering("mul", ("input", "input")),
    "aten.silu.default": Lowering("silu", ("input",)),
    "aten.gelu.default": Lowering("gelu", ("input",)),
    "aten.reshape.default": Lowering("reshape", ("input", "")),
    "aten.index_select.default": Lowering("gather_rows", ("input", "", "input")),
    "vlmforge.rms_norm.default": Lowering(
        "rms_norm", ("input", "weight:weight", "attr:group", "attr:eps")
    ),
    "vlmforge.quick_gelu.default": Lowering("quick_gelu", ("input",)),
    "vlmforge.gelu_tanh.default": Lowering("gelu_tanh", ("input",)),
    "vlmforge.patch_embed.default": Lowering("conv2d", ("input", "weight:weight", "weight:bias")),
    "vlmforge.rope.default": Lowering("rope", ("input", "input", "attr:head_dim")),
    "vlmforge.rope_lookup.default": Lowering(
        "rope_lookup", ("input", "weight:cos", "weight:sin", "attr:sections")
    ),
    "vlmforge.attention.default": Lowering(
        "attention",
        ("input", "input", "input", "input", "attr:heads", "attr:kv_heads", "attr:head_dim")
        + ("attr:scale", "attr:causal", "attr:cache"),
    ),
}
"""Captured operator to graph operator; anything else cannot be compiled."""

REPORT = "report it with the model's config.json"

IGNORED = {"aten.sym_size.int"}


def lower(
    exported: torch.export.ExportedProgram,
    component: str,
    resolve: Callable[[str], Weight],
    dims: dict[str, tuple[Any, ...]],
    original: Callable[[str], str | None],
) -> Graph:
    """The graph of an exported module.

    Args:
        exported: from ``torch.export.export``; parameters may be on the ``meta`` device.
        component: ``"language"`` or ``"vision"``.
        resolve: gives the weight for the path of a parameter or buffer.
        dims: input name to shape, with names for the dynamic dimensions.
        original: node name to the original model's module with the same output, or None.

    Raises:
        CaptureError: an operator that has no lowering.
    """
    return _Lowerer(exported, resolve, dims, original).graph(component)


class _Lowerer:
    def __init__(
        self,
        exported: torch.export.ExportedProgram,
        resolve: Callable[[str], Weight],
        dims: dict[str, tuple[Any, ...]],
        original: Callable[[str], str | None],
    ) -> None:
        self.exported, self.resolve, self.dims, self.original = exported, resolve, dims, original
        signature = exported.graph_signature
        self.parameters = {**signature.inputs_to_parameters, **signature.inputs_to_buffers}
        self.symbols: dict[Any, str] = {}
        self.inputs: dict[str, Value] = {}
        self.weights: dict[str, Weight] = {}
        self.nodes: dict[str, Node] = {}
        self.names: dict[fx.Node, str] = {}
        self.repeats: Counter[str] = Counter()

    def graph(self, component: str) -> Graph:
        captured = [n for n in self.exported.graph.nodes if str(n.target) not in IGNORED]
        calls = [node for node in captured if node.op == "call_function"]
        alone = Counter(_path(node) for node in calls)
        for node in captured:
            if node.op == "placeholder" and node.name not in self.parameters:
                self.names[node] = self._input(node)
        for node in calls:
            self._lower(node, alone[_path(node)] == 1)
        outputs = tuple(self.names[node] for node in self.exported.graph.output_node().args[0])
        graph = Graph(component, self.inputs, self.nodes, outputs, self.weights)
        verify(graph)
        return graph

    def _input(self, node: fx.Node) -> str:
        tensor, shape = node.meta["val"], self.dims[node.name]
        for size, dim in zip(tensor.shape, shape, strict=True):
            factor, name = parts(dim)
            if name is not None:
                self.symbols[size.node.expr / factor] = name
        dtype = str(tensor.dtype).removeprefix("torch.")
        self.inputs[node.name] = Value(node.name, shape, dtype)
        return node.name

    def _lower(self, node: fx.Node, alone: bool) -> None:
        lowering = LOWERINGS.get(str(node.target))
        if lowering is None or node.kwargs or len(node.args) > len(lowering.parameters):
            known = ", ".join(sorted(LOWERINGS))
            raise CaptureError(
                f"{node.target} with these arguments has no lowering",
                where=_path(node),
                mend=f"rewrite it with: {known}",
            )
        inputs, weights, attrs = self._arguments(node, lowering)
        shape = self._shape(node)
        if lowering.op == "reshape":
            attrs["shape"] = list(shape)
        name = self._name(node, lowering.op, inputs, alone)
        self._add(
            Node(name, lowering.op, inputs, shape, weights, attrs, module=self.original(name))
        )
        self.names[node] = name

    def _arguments(
        self, node: fx.Node, lowering: Lowering
    ) -> tuple[tuple[str, ...], dict[str, str], dict[str, Any]]:
        inputs: list[str] = []
        weights: dict[str, str] = {}
        attrs: dict[str, Any] = {}
        for parameter, argument in zip(lowering.parameters, node.args, strict=False):
            kind, _, role = parameter.partition(":")
            if kind == "attr":
                attrs[role] = list(argument) if isinstance(argument, (list, tuple)) else argument
            elif kind == "input" and argument is not None:
                inputs.append(self._operand(argument))
            elif kind == "weight" and argument is not None:
                weights[role] = self._weight(argument)
        return tuple(inputs), weights, attrs

    def _operand(self, argument: Any) -> str:
        if argument not in self.names:
            weight = self._weight(argument)
            name = weight.replace(".", "_")
            shape = self.weights[weight].shape
            self._add(Node(name, "constant", (), shape, {"value": weight}))
            self.names[argument] = name
        return self.names[argument]

    def _weight(self, argument: Any) -> str:
        path = self.parameters[argument.name]
        self.weights.setdefault(path, self.resolve(path))
        return path

    def _shape(self, node: fx.Node) -> Shape:
        sizes = node.meta["val"].shape
        return tuple(size if isinstance(size, int) else self._dim(size) for size in sizes)

    def _dim(self, size: Any) -> Dim:
        """The dimension that a symbolic size is."""
        if size.node.expr.is_Integer:
            return int(size)
        for symbol, name in self.symbols.items():
            if (factor := size.node.expr / symbol).is_Integer:
                return multiple(int(factor), name)
        raise CaptureError(f"the size {size} is no multiple of a dynamic dimension", mend=REPORT)

    def _name(self, node: fx.Node, op: str, inputs: tuple[str, ...], alone: bool) -> str:
        path = _path(node)
        name = path.replace(".", "_")
        if not path:
            name = f"{inputs[0]}/{op}"
        elif not alone:
            name = f"{name}/{op}"
        self.repeats[name] += 1
        return name if self.repeats[name] == 1 else f"{name}_{self.repeats[name] - 1}"

    def _add(self, node: Node) -> None:
        self.nodes[node.name] = node


def _path(node: fx.Node) -> str:
    stack = list(node.meta["nn_module_stack"].values())
    return stack[-1][0] if stack else ""
