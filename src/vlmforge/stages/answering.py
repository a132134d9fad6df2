"""Answering: about what the original model takes to see images and to write answers."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, prod

import torch

from vlmforge.arithmetic.kernels import has_order
from vlmforge.calibrate.answers import DRAFT, OWN
from vlmforge.calibrate.record import BATCH, DTYPES
from vlmforge.machine.ram import usable_memory
from vlmforge.source.checkpoint import LM_HEAD, Checkpoint
from vlmforge.stages.arithmetic import BYTES, Arithmetic
from vlmforge.stages.calibration import Calibration
from vlmforge.stages.stack import EXACT, ROUNDED, Multiplication, Stack, products_seconds
from vlmforge.stages.volume import FLOAT32, Volume

HEAD_ROWS = 8192
"""Rows of the logits' weight that are measured; the rest is as fast."""

READ_SPEED = 300e6
"""Bytes of a checkpoint that come from the disk in a second."""

CONVERTED = 1e9
"""Elements of weights that are brought to another dtype in a second."""

GATED = 3
"""Values of an MLP's width that a row has at once."""


@dataclass(frozen=True)
class Answering:
    """What is recorded for the decoder, and how.

    Attributes:
        checkpoint, calibration: of what.
        volume: of a sample.
        decoder, tower: their layers.
        way: in which the original computes.
    """

    checkpoint: Checkpoint
    calibration: Calibration
    volume: Volume
    decoder: Stack
    tower: Stack
    way: Arithmetic

    @property
    def count(self) -> int:
        """Answers that are written, by the original or by a draft of it."""
        written = self.calibration.answers in (OWN, DRAFT)
        return self.calibration.num_samples if written and self.calibration.text is None else 0

    def seconds(self) -> float:
        """At most, if every answer is as long as it may be.

        A draft, which sees all images for itself, is taken to be as fast as the original.
        """
        seen = self.calibration.num_samples * self._seeing()
        if not self.count:
            return seen
        way = Multiplication(DTYPES[self.way.dtype])
        read = self.count * self.decoder.seconds(way) * self.volume.prompt
        again = seen if self.calibration.answers == DRAFT else 0.0
        return seen + again + read + self._steps * (self._step(way) + self._reading)

    def memory(self) -> int:
        """Bytes of the original's weights, a block's values of an image, and what a batch takes.

        Weights in the dtype of the arithmetic are pages of the checkpoint's files; of others, all
        are held, or the largest where they are read as they are needed.
        """
        own = self.calibration.answers == OWN
        sizes = [
            prod(self.checkpoint.shape(name)) for name in self.checkpoint.distinct()
            if self.checkpoint.dtype(name) != self.way.dtype
        ]  # fmt: skip
        held = sum(sizes) if own and not self.way.streamed else max(sizes, default=0)
        vocabulary, _ = self.checkpoint.shape(LM_HEAD)
        logits, seen = self._batch * vocabulary, self.volume.largest * self.tower.outputs
        return held * BYTES[self.way.dtype] + round(FLOAT32 * (logits + seen)) + own * self._rows

    @property
    def _batch(self) -> int:
        return min(BATCH, self.calibration.num_samples)

    @property
    def _steps(self) -> int:
        """Times that the decoder runs for a token of each answer of a batch."""
        return ceil(self.count / self._batch) * self.calibration.max_new_tokens

    @property
    def _rows(self) -> int:
        """Bytes that a batch's rows take: as prompts are read, their caches joined, or at the end.

        Prompts of about one length are read together: all of them where images have one size.
        """
        decoder = self.checkpoint.family.decoder
        sizes, width = decoder.sizes(decoder.part(self.checkpoint.settings)), BYTES[self.way.dtype]
        cached = 2 * sizes.layers * sizes.kv_heads * sizes.head_dim * width
        prompt, longest = self.volume.prompt, self.volume.longest
        read = prompt * (cached + GATED * sizes.intermediate * width)
        last = longest + self.calibration.max_new_tokens
        return round(self._batch * max(read, (prompt + longest) * cached, last * cached))

    def _seeing(self) -> float:
        """Seconds in which the original sees an image."""
        if not self.tower.products:
            return 0.0
        dtype = DTYPES[self.way.dtype]
        way = Multiplication(dtype)
        if has_order(str(self.tower.place)):
            way = ROUNDED if dtype == torch.bfloat16 else EXACT
        products = self.tower.seconds(way)
        patches = (products + self.tower.valued()) * self.volume.patches
        return patches + self.tower.attending(products, self.volume)

    def _step(self, way: Multiplication) -> float:
        """Seconds of a token of each answer of a batch."""
        vocabulary, hidden = self.checkpoint.shape(LM_HEAD)
        rows, place = min(vocabulary, HEAD_ROWS), self.decoder.place
        head = products_seconds(((rows, hidden),), self._batch, way, place) * vocabulary / rows
        return self._batch * self.decoder.seconds(way, self._batch) + head

    @property
    def _reading(self) -> float:
        """Seconds in which weights that are not held come to a step, from the disk or a dtype."""
        if not (self.way.streamed and self.calibration.answers == OWN):
            return 0.0
        memory, names = usable_memory(), self.checkpoint.distinct()
        files = {self.checkpoint.holder(name) for name in names}
        stored = sum(file.stat().st_size for file in files)
        read = stored / READ_SPEED if memory is not None and stored > memory else 0.0
        others = [name for name in names if self.checkpoint.dtype(name) != self.way.dtype]
        return read + sum(prod(self.checkpoint.shape(name)) for name in others) / CONVERTED
