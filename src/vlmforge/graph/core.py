"""Graph, Node, Value, Weight: the hardware-independent form of a component."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from vlmforge.dims import Shape
from vlmforge.errors import GraphError

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Value:
    """A named tensor flowing through the graph; ``dtype`` is ``"float32"`` or ``"int64"``."""

    name: str
    shape: Shape
    dtype: str = "float32"


@dataclass(frozen=True)
class Weight:
    """A constant tensor that is read only when somebody asks for it.

    A weight is a shape and a way to read rows (slices of dimension 0), so a model larger than
    memory can be transformed: :meth:`map_rows` and :meth:`map` compose functions and read nothing.
    What changes rows computes in float64 and rounds once, to the dtype of the rows: a graph of
    float64 weights stays one, and shows how exact a change is.

    Attributes:
        shape: the full shape.
        read: ``read(start, stop)`` gives rows ``[start, stop)`` as a float32 tensor, or a float64
            one where all weights of a graph are.
        dtype: the dtype worth storing, ``"bfloat16"`` while the weight is still the checkpoint's.
    """

    shape: tuple[int, ...]
    read: Callable[[int, int], torch.Tensor]
    dtype: str = "float32"

    @property
    def float_bytes(self) -> int:
        """Bytes of the whole tensor in float32."""
        return 4 * math.prod(self.shape)

    def load(self) -> torch.Tensor:
        """The whole tensor, of ``shape`` and the dtype of its rows."""
        return self.read(0, self.shape[0])

    def map_rows(self, rows: Callable[[torch.Tensor], torch.Tensor]) -> Weight:
        """The weight with ``rows`` applied, where each output row depends on its own input row."""
        return Weight(self.shape, lambda start, stop: rows(self.read(start, stop)))

    def map(
        self, whole: Callable[[torch.Tensor], torch.Tensor], shape: tuple[int, ...] | None = None
    ) -> Weight:
        """The weight with ``whole`` applied to the full tensor; ``shape`` if the result differs."""
        return Weight(
            shape or self.shape, lambda start, stop: whole(self.load())[start:stop].contiguous()
        )

    def part(self, start: int, stop: int) -> Weight:
        """Rows ``[start, stop)`` alone."""
        shape = (stop - start, *self.shape[1:])
        return Weight(shape, lambda a, b: self.read(start + a, start + b), self.dtype)

    def reordered(self, order: Sequence[int]) -> Weight:
        """The rows of each run of ``len(order)`` in another order; ``order`` says where they were.

        Only the runs that hold the rows asked for are read.
        """
        size = len(order)

        def read(start: int, stop: int) -> torch.Tensor:
            first, last = start // size * size, -(-stop // size) * size
            runs = self.read(first, last).unflatten(0, (-1, size))
            return runs[:, list(order)].flatten(0, 1)[start - first : stop - first]

        return Weight(self.shape, read, self.dtype)

    def times(self, factor: float) -> Weight:
        """The weight multiplied in float64 and rounded once; itself where the factor is 1."""
        if factor == 1:
            return self
        return self.map_rows(lambda rows: (rows.double() * factor).to(rows.dtype))

    def scaled(self, factors: Weight) -> Weight:
        """The weight, each row multiplied by its factor ``[rows]`` in float64 and rounded once."""

        def read(start: int, stop: int) -> torch.Tensor:
            rows, own = self.read(start, stop), factors.read(start, stop).double()
            return (rows.double() * own.view(-1, *[1] * (rows.ndim - 1))).to(rows.dtype)

        return Weight(self.shape, read)

    @staticmethod
    def of(tensor: torch.Tensor) -> Weight:
        """A weight held in memory; float64 stays, every other dtype is read as float32."""
        import torch

        dtype = torch.promote_types(tensor.dtype, torch.float32)
        return Weight(tuple(tensor.shape), lambda start, stop: tensor[start:stop].to(dtype))


@dataclass(frozen=True)
class Node:
    """One operator application; it produces exactly one value, named as the node.

    Attributes:
        name: the module path with underscores, such as ``model_layers_0_mlp_down_proj``.
        op: a key of :data:`vlmforge.graph.ops.OPS`.
        inputs: names of the values consumed.
        weights: role (``"weight"``, ``"bias"``, ...) to weight name.
        attrs: JSON-able constants.
        shape, dtype: of the value produced.
        module: path of the original model's module with the same output, if there is one; channels
            in brackets behind it, ``qkv[64:128]``, where it is a part of that output.
    """

    name: str
    op: str
    inputs: tuple[str, ...]
    shape: Shape
    weights: dict[str, str] = field(default_factory=dict)
    attrs: dict[str, Any] = field(default_factory=dict)
    dtype: str = "float32"
    module: str | None = None

    @property
    def value(self) -> Value:
        return Value(self.name, self.shape, self.dtype)


@dataclass
class Graph:
    """A component in single-assignment form, nodes in topological order.

    Attributes:
        component: ``"language"`` or ``"vision"``.
        inputs: name to value.
        nodes: name to node, in topological order.
        outputs: names of the values produced for the caller.
        weights: name to weight.
        meta: provenance and facts other stages need (model id, hidden size, ...), JSON-able.
    """

    component: str
    inputs: dict[str, Value]
    nodes: dict[str, Node]
    outputs: tuple[str, ...]
    weights: dict[str, Weight]
    meta: dict[str, Any] = field(default_factory=dict)

    def value(self, name: str) -> Value:
        """The value called ``name``; raises :class:`GraphError` if there is none."""
        if name in self.nodes:
            return self.nodes[name].value
        if name in self.inputs:
            return self.inputs[name]
        raise GraphError(f"the {self.component} graph has no value called {name!r}")

    def consumers(self, name: str) -> list[Node]:
        """The nodes that read the value, in topological order."""
        return [node for node in self.nodes.values() if name in node.inputs]

    def weight(self, node: Node, role: str) -> Weight | None:
        """The node's weight in ``role``, or None where the node has none."""
        return self.weights[node.weights[role]] if role in node.weights else None

    def with_weights(self, changed: dict[str, Weight]) -> Graph:
        """The same graph over changed weights."""
        return replace(self, weights={**self.weights, **changed})

    def with_nodes(self, nodes: Iterable[Node], changed: dict[str, Weight]) -> Graph:
        """The graph with other nodes and changed weights; weights nobody reads are dropped."""
        kept = {node.name: node for node in nodes}
        used = {name for node in kept.values() for name in node.weights.values()}
        merged = {**self.weights, **changed}
        return replace(self, nodes=kept, weights={n: w for n, w in merged.items() if n in used})
