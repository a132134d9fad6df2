"""The loss of QK's scales: the attention's output with its operands rounded."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from vlmforge.graph.core import Graph, Node
from vlmforge.graph.evaluate import compute
from vlmforge.transform.blocks import KeyPath
from vlmforge.transform.choose.statistics import Statistics
from vlmforge.transform.precision import Precision, round_to


def key_operands(path: KeyPath) -> tuple[str, ...]:
    """The values whose rows :class:`AttentionError` needs: query, key, value, their RoPE rows."""
    turns = [rope.inputs[1] for rope in _ropes(path)]
    return path.query.name, path.key.name, path.attention.inputs[2], *turns


def _ropes(path: KeyPath) -> list[Node]:
    return [rope for rope in (path.query_rope, path.key_rope) if rope is not None]


class AttentionError:
    """How far an attention's output moves if keys are multiplied, and queries divided, by scales.

    The kept rows of each sample stand for its sequence, so attention sees a thinned context.
    """

    def __init__(
        self,
        graph: Graph,
        path: KeyPath,
        statistics: Statistics,
        precision: Precision,
        device: str = "cpu",
    ) -> None:
        self.graph, self.path, self.precision = graph, path, precision
        names = key_operands(path)
        self.maxima = [statistics.maxima[name].to(device) for name in names[:2]]
        columns = zip(*(statistics.rows[name] for name in names), strict=True)
        self.samples = [[tensor.to(device) for tensor in sample] for sample in columns]
        with torch.no_grad():
            self.wanted = [self._attend(*sample) for sample in self.samples]

    def __call__(self, scales: Tensor) -> Tensor:
        """Squared error relative to the output; scales ``[kv_heads * head_dim / 2]``."""
        attrs = self.path.attention.attrs
        key = scales.reshape(attrs["kv_heads"], -1).repeat(1, 2)
        query = 1 / key.repeat_interleave(attrs["heads"] // attrs["kv_heads"], 0)
        factors = (query.flatten(), key.flatten())
        error, power = torch.zeros(()), torch.zeros(())
        for (query_rows, key_rows, *rest), wanted in zip(self.samples, self.wanted, strict=True):
            scaled = [rows * f for rows, f in zip((query_rows, key_rows), factors, strict=True)]
            rounded = [self._rounded(i, rows, factors[i]) for i, rows in enumerate(scaled)]
            output = self._attend(*rounded, *rest)
            error = error + (output - wanted).square().sum().cpu()
            power = power + wanted.square().sum().cpu()
        return error / power.clamp_min(1e-30)

    def _rounded(self, operand: int, rows: Tensor, factor: Tensor) -> Tensor:
        name = key_operands(self.path)[operand]
        limit = self.precision.limit(name)
        if limit is None:
            return rows
        return round_to(rows, (self.maxima[operand] * factor).amax() / limit, limit)

    def _attend(self, *operands: Tensor) -> Tensor:
        path = self.path
        values = dict(zip(key_operands(path), operands, strict=True))
        for node in _ropes(path):
            values[node.name] = compute(self.graph, node, values)
        attention = replace(path.attention, inputs=path.attention.inputs[:3])
        return compute(self.graph, attention, values)
