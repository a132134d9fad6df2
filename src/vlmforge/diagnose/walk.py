"""Walks an integer program and the float graph it was made from, side by side.

Instruction by instruction every sample passes through both. Weights are read once, for one node
at a time, and of the values only those later nodes read are kept.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from vlmforge.diagnose.node import CLASSES, HEADROOM, NodeRecord, curve
from vlmforge.diagnose.scales import Scale, buffer_centres, buffer_scales
from vlmforge.diagnose.solo import Solo
from vlmforge.diagnose.tally import Tally
from vlmforge.errors import GraphError
from vlmforge.fixed_point import LIMITS, to_code
from vlmforge.graph.core import Graph, Node
from vlmforge.graph.evaluate import apply
from vlmforge.graph.ops import MOVES, TABLES
from vlmforge.graph.stream import with_loaded
from vlmforge.program.core import Instruction, Program
from vlmforge.progress import Progress

MEND = "diagnose with the version of vlmforge that compiled the package, or compile it again"


@dataclass
class Side:
    """One sample on its way through both forms.

    Attributes:
        real: values of the float original by buffer name.
        codes: those of the integer program.
        classes: int8 ``[rows]``, index into :data:`CLASSES` of each row.
    """

    real: dict[str, Tensor]
    codes: dict[str, np.ndarray]
    classes: np.ndarray


@dataclass
class Walk:
    """A component's program beside its graph.

    Attributes:
        program: the integer program.
        graph: the transformed float graph, whose node names are the program's.
        plain: the graph before it was transformed.
        records: filled as the walk goes; nothing is measured at tables and moves.
    """

    program: Program
    graph: Graph
    plain: Graph
    records: list[NodeRecord] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.scales: dict[str, Scale] = buffer_scales(self.program)
        self.centres = buffer_centres(self.program, self.scales)

    def run(self, sides: Sequence[Side], progress: Progress | None = None) -> None:
        """Take every sample from the inputs to the outputs, which ``sides`` hold afterwards."""
        steps, finished = self.program.instructions, self.program.finished_after()
        for done, step in enumerate(steps):
            self._step(step, sides)
            for name in finished.get(step.name, ()):
                for side in sides:
                    side.real.pop(name, None)
                    side.codes.pop(name, None)
            if progress is not None:
                progress(f"comparing the {self.program.component} model", done + 1, len(steps))

    def _step(self, step: Instruction, sides: Sequence[Side]) -> None:
        solo = Solo(self.program, step)
        node = self.graph.nodes.get(step.name)
        if node is None and step.op != "quantize":
            raise GraphError(f"the original has no node {step.name!r}", where=step.op, mend=MEND)
        held = self.graph if node is None else with_loaded(self.graph, [node])
        record = self._record(step, held)
        self.records.append(record)
        for side in sides:
            real = _value(held, node, step, [side.real[name] for name in step.inputs])
            side.real[step.name] = real
            side.codes[step.name] = solo([side.codes[name] for name in step.inputs])
            if step.op not in (*TABLES, *MOVES):
                self._compare(record, solo, held, node, side)

    def _compare(
        self, record: NodeRecord, solo: Solo, held: Graph, node: Node | None, side: Side
    ) -> None:
        step = solo.step
        rounded = [self._encode(name, side.real[name]) for name in step.inputs]
        operands = [self._decode(*each) for each in zip(step.inputs, rounded, strict=True)]
        inputs = [torch.from_numpy(x) for x in operands]
        if node is None:
            inputs = [side.real[name] for name in step.inputs]
        wanted = _rows(_value(held, node, step, inputs))
        got = _rows(self._decode(step.name, solo(rounded)))
        real = _rows(side.real[step.name])
        codes = side.codes[step.name]
        accumulated = _rows(self._decode(step.name, codes))
        for label, rows in _by_class(side.classes, len(real)):
            record.local[label].add(wanted[rows], got[rows])
            record.accumulated[label].add(real[rows], accumulated[rows])
        self._ranges(record, real, codes)
        self._rounding(record, wanted, got)
        if step.op == "add":
            self._branches(record, step, side)
        if step.op == "attention" and node is not None:
            self._effects(node, step, side, operands)

    def _rounding(self, record: NodeRecord, wanted: np.ndarray, got: np.ndarray) -> None:
        """What the codes allow at best, and how much of the error clipping alone makes."""
        if record.dtype not in LIMITS:
            record.channels.add(wanted, got, wanted)
            return
        best = self._decode(record.name, self._encode(record.name, wanted))
        limit = LIMITS[record.dtype] * self.scales[record.name]
        record.rounding.add(wanted, best)
        centre = self.centres.get(record.name, 0.0)
        record.clipped.add(wanted, np.clip(wanted, centre - limit, centre + limit))
        record.channels.add(wanted, got, best)

    def _ranges(self, record: NodeRecord, real: np.ndarray, codes: np.ndarray) -> None:
        size = np.abs(real - self.centres.get(record.name, 0.0))
        record.largest = max(record.largest, float(size.max(initial=0)))
        record.elements += size.size
        if record.dtype not in LIMITS:
            return
        limit = LIMITS[record.dtype] * np.asarray(self.scales[record.name])
        record.limit = float(limit.max())
        used = size.max(axis=0, initial=0) / limit
        record.used = max(record.used or 0.0, float(used.max()))
        beyond = limit / HEADROOM[record.dtype]
        record.outside += int((size > beyond * (1 + 1e-6)).sum())
        at_limit = np.abs(_rows(codes).astype(np.int32)) == LIMITS[record.dtype]
        record.saturated += int((at_limit & (size > limit)).sum())

    def _branches(self, record: NodeRecord, step: Instruction, side: Side) -> None:
        total = _rows(side.real[step.name])
        for name in step.inputs:
            share = record.branch.setdefault(name, Tally())
            share.add(total, total - _rows(side.real[name]))

    def _effects(
        self, node: Node, step: Instruction, side: Side, rounded: Sequence[np.ndarray]
    ) -> None:
        """What the rounding of each operand alone does to the attention's output."""
        real = [side.real[name] for name in step.inputs]
        wanted = _rows(side.real[step.name])
        by_name = {record.name: record for record in self.records}
        for place in range(3):
            inputs = [*real]
            inputs[place] = torch.from_numpy(rounded[place])
            got = _rows(_value(self.graph, node, step, inputs))
            by_name[step.inputs[place]].effect.add(wanted, got)

    def _record(self, step: Instruction, held: Graph) -> NodeRecord:
        buffer = self.program.buffers[step.name]
        record = NodeRecord(
            step.name, self.program.component, step.op, buffer.dtype, inputs=step.inputs
        )
        if "weight" in step.tensors:
            stored = self.program.tensors[step.tensors["weight"]]
            record.weight_bits = 4 if stored.dtype == np.uint8 else 8
            record.before = _channel_curve(self.plain, step.name)
            record.after = _channel_curve(held, step.name)
        return record

    def _encode(self, name: str, real: Tensor | np.ndarray) -> np.ndarray:
        """A value of the original in the buffer's codes."""
        array = real.numpy() if isinstance(real, Tensor) else real
        dtype = self.program.buffers[name].dtype
        if dtype not in LIMITS:
            return array
        centred = array.astype(np.float64) - self.centres.get(name, 0.0)
        return to_code(centred / self.scales[name], dtype)

    def _decode(self, name: str, codes: np.ndarray) -> np.ndarray:
        """The real value of a buffer, float32."""
        if self.program.buffers[name].dtype not in LIMITS:
            return codes
        return (codes * self.scales[name] + self.centres.get(name, 0.0)).astype(np.float32)


def _value(held: Graph, node: Node | None, step: Instruction, inputs: list[Tensor]) -> Tensor:
    """What the float operator makes of the inputs; a quantization leaves its input as it is."""
    if node is None:
        return inputs[0]
    return apply(held, node, dict(zip(node.inputs, inputs, strict=True)) or {"": torch.empty(0)})


def _channel_curve(graph: Graph, name: str) -> list[float]:
    node = graph.nodes.get(name)
    if node is None or "weight" not in node.weights:
        return []
    weight = graph.weights[node.weights["weight"]]
    largest, energy, count = None, 0.0, 0
    for start in range(0, weight.shape[0], 8192):
        rows = weight.read(start, min(start + 8192, weight.shape[0])).flatten(1)
        top = rows.abs().amax(0)
        largest = top if largest is None else largest.maximum(top)
        energy += float(rows.double().square().sum())
        count += rows.numel()
    assert largest is not None
    return curve(largest.numpy(), (energy / count) ** 0.5)


def _rows(value: Tensor | np.ndarray) -> np.ndarray:
    array = value.numpy() if isinstance(value, Tensor) else value
    return array.reshape(-1, array.shape[-1])


def _by_class(classes: np.ndarray, rows: int) -> Iterable[tuple[str, np.ndarray]]:
    """Each class with the rows it has; values of other rows than the sample's are images'."""
    if len(classes) != rows:
        return [(CLASSES[0], np.arange(rows))]
    return [(label, np.flatnonzero(classes == index)) for index, label in enumerate(CLASSES)]
