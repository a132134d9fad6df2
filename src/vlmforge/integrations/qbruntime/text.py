"""TextRunner: embeddings to logits, as clients of the runtime pass and expect them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from vlmforge.decode.reading import CHUNK
from vlmforge.errors import RunError
from vlmforge.integrations.qbruntime.arrays import rows_of
from vlmforge.integrations.qbruntime.infos import (
    ANY,
    BatchParam,
    BufferInfo,
    CacheInfo,
    Variant,
)
from vlmforge.integrations.qbruntime.opened import Opened
from vlmforge.integrations.qbruntime.rope import Angles
from vlmforge.integrations.qbruntime.rows import found_spans
from vlmforge.integrations.qbruntime.slots import SLOTS, Slot, Slots
from vlmforge.machine.machine import Machine
from vlmforge.machine.request import Request, RequestRules
from vlmforge.program.core import Program
from vlmforge.prompt.positions import AXES, OneAxis, position_after, positions_kind, positions_of
from vlmforge.prompt.spans import Span


class TextFace:
    """What a text program looks like to clients.

    Args:
        opened: its package.
        program: the program.
    """

    def __init__(self, opened: Opened, program: Program) -> None:
        self._opened, self._program = opened, program
        self.angles = Angles(program) if opened.dynamic else None

    @property
    def variant(self) -> Variant:
        """Embeddings, and angles in the dynamic layout; the logits of the last row."""
        vocabulary, hidden = self._opened.package.embeddings.shape
        angles = [] if self.angles is None else [(1, ANY, self.angles.packed)]
        return Variant([(1, ANY, hidden), *angles], [(1, 1, vocabulary)])

    @property
    def buffers(self) -> list[BufferInfo]:
        """Of each input."""
        length = int(self._program.meta["cache_length"])
        return [BufferInfo(CHUNK, length) for _ in self.variant.inputs]

    @property
    def caches(self) -> list[CacheInfo]:
        """Of each layer."""
        length, package = int(self._program.meta["cache_length"]), self._opened.package.fingerprint
        widths = RequestRules(self._program).widths
        return [
            CacheInfo("int8", name, package, 2 * width * length, SLOTS)
            for name, width in widths.items()
        ]

    def runner(self, machine: Machine) -> TextRunner:
        """What runs it."""
        return TextRunner(self._opened, machine, self.angles)


class Part(NamedTuple):
    """The rows of one sequence.

    Attributes:
        rows: float32 ``[n, hidden]``.
        angles: float32 ``[n, packed]``, see :meth:`Angles.of_text`; None where there are none.
        param: where they go on.
    """

    rows: np.ndarray
    angles: np.ndarray | None
    param: BatchParam


class TextRunner:
    """Runs a text program.

    Args:
        opened: its package.
        machine: of the program.
        angles: its tables, where clients pass angles.
    """

    def __init__(self, opened: Opened, machine: Machine, angles: Angles | None) -> None:
        self._opened, self._machine, self._angles = opened, machine, angles
        self.slots = Slots(machine, opened.package.fingerprint)
        further = [] if angles is None else [angles.packed]
        self._widths = [opened.package.embeddings.shape[1], *further]
        kind = positions_kind(machine.program.meta)  # without images, all kinds are alike
        self._kind = OneAxis() if opened.package.vision is None else kind

    def infer(
        self, inputs: Sequence[Any], cache_size: int, params: Sequence[BatchParam] | None
    ) -> list[np.ndarray]:
        """The logits of the last row of each sequence.

        Args:
            inputs: embeddings ``[1, ..., n, hidden]``, and angles ``[1, ..., n, packed]`` in the
                dynamic layout.
            cache_size: rows that go before, in slot 0.
            params: instead, of each sequence of a batch.

        Returns:
            One array, float32 ``[1, ..., sequences, vocabulary]``, of the rank of the embeddings.

        Raises:
            RunError: rows are of another shape, do not fit, or cannot be told what they are.
        """
        rows, rank = rows_of(inputs, self._widths), np.ndim(inputs[0])
        params = params or [BatchParam(len(rows[0]), cache_size, 0)]
        parts = self._parts(rows, params)
        outputs = self._run(parts)
        return [np.concatenate(outputs).reshape(*[1] * (rank - 2), len(parts), -1)]

    def _parts(self, inputs: list[np.ndarray], params: Sequence[BatchParam]) -> list[Part]:
        """The rows of each sequence."""
        lengths = [param.sequence_length for param in params]
        if min(lengths) < 1 or sum(lengths) != len(inputs[0]):
            raise RunError(f"the sequences have {lengths} rows, {len(inputs[0])} are given")
        if len({param.cache_id for param in params}) != len(params):
            raise RunError("two sequences of a batch have one slot", mend="choose one for each")
        split = [np.split(rows, np.cumsum(lengths)[:-1]) for rows in inputs]
        angles = split[1] if len(split) > 1 else [None] * len(params)
        return [Part(*each) for each in zip(split[0], angles, params, strict=True)]

    def _run(self, parts: list[Part]) -> list[np.ndarray]:
        """The logits of each, float32 ``[1, vocabulary]``."""
        requests, spans = [], []
        for part in parts:
            slot = self.slots[part.param.cache_id]
            slot.truncate(part.param.cache_size)
            spans.append(self._spans(part, slot))
            positions = self._positions(part, slot, spans[-1])
            requests.append(_request(part.rows, positions, slot))
        outputs = self._machine.run_batch(requests)
        for part, found in zip(parts, spans, strict=True):
            self.slots[part.param.cache_id].spans += found
        name = self._machine.program.outputs[0]
        return [output[name] for output in outputs]

    def _spans(self, part: Part, slot: Slot) -> list[Span]:
        """The images among rows, where positions depend on them."""
        if self._angles is not None or isinstance(self._kind, OneAxis):
            return []
        images, words = self._opened.images, self._opened.words
        return list(found_spans(part.rows, images, words, slot.begun, slot.cache.length))

    def _positions(self, part: Part, slot: Slot, found: list[Span]) -> np.ndarray:
        """int64 ``[3, n]``."""
        if self._angles is not None and part.angles is not None:
            return self._angles.of_text(part.angles)
        held, spans = slot.cache.length, [*slot.spans, *found]
        anchor = held if slot.begun is None else slot.begun.start
        before = [span for span in spans if span.start < anchor]
        behind = [span.moved(-anchor) for span in spans if span.start >= anchor]
        stop = held - anchor + len(part.rows)
        length = max([stop, *(span.stop for span in behind)])
        start = position_after(self._kind, anchor, before)
        return positions_of(self._kind, length, behind, start)[:, held - anchor : stop]


def _request(rows: np.ndarray, positions: np.ndarray, slot: Slot) -> Request:
    feeds = {
        "inputs_embeds": rows[None],
        "position_ids": np.ascontiguousarray(positions.reshape(AXES, len(rows))),
        "logits_index": np.array([len(rows) - 1], np.int64),
    }
    return Request(feeds, slot.cache)
