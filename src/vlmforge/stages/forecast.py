"""About how long a compilation will take, from a few seconds of measurement."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil, prod

import torch

from vlmforge.calibrate.answers import OWN
from vlmforge.calibrate.record import BATCH, DTYPES
from vlmforge.families.decoder import LAYERS
from vlmforge.families.family import LANGUAGE, VISION
from vlmforge.original.reference import torch_device
from vlmforge.progress import duration
from vlmforge.source.checkpoint import LM_HEAD, Checkpoint
from vlmforge.stages.arithmetic import Arithmetic
from vlmforge.stages.calibration import Calibration
from vlmforge.stages.stack import Stack, products_seconds
from vlmforge.stages.volume import Volume

HEAD_ROWS = 8192
"""Rows of the logits' weight that are measured; the rest is as fast."""

PASSES = 6
"""How often samples pass through the model while it is quantized, its own products counted once
more for the sums that rounding is compensated with."""


@dataclass(frozen=True)
class Forecast:
    """What a compilation is about to do.

    Attributes:
        model: its name.
        parameters: of the model.
        answers: how many questions the original model answers.
        answer_seconds: most time that takes, if every answer is as long as it may be.
        quantize: about the time after it, by component.
        arithmetic: in which the original model answers.
    """

    model: str
    parameters: int
    answers: int
    answer_seconds: float
    quantize: Mapping[str, float]
    arithmetic: Arithmetic

    @property
    def quantize_seconds(self) -> float:
        """Of all components."""
        return sum(self.quantize.values())

    def sentence(self) -> str:
        """One line for people."""
        size = f"{self.parameters / 1e9:.1f} billion parameters"
        if self.parameters < 1e9:
            size = f"{self.parameters / 1e6:.1f} million parameters"
        quantizing = f"about {duration(self.quantize_seconds)} to quantize it"
        if not self.answers:
            return f"{self.model}, {size}: {quantizing}"
        answering = f"at most {duration(self.answer_seconds)} for {self.answers} answers of it in"
        return f"{self.model}, {size}: {answering} {self.arithmetic.sentence()}, {quantizing}"


def forecast(checkpoint: Checkpoint, calibration: Calibration, device: str = "cpu") -> Forecast:
    """Measure products of the shapes of one layer and one block, and multiply.

    Neither attention nor what a configuration lets learn is counted; the latter may take hours.

    Args:
        checkpoint: whose shapes are measured; no weight is read.
        calibration: what will be recorded.
        device: ``"cpu"`` or ``"gpu"``.
    """
    volume, place = Volume.of(checkpoint, calibration), torch_device(device)
    sees, decoder = checkpoint.family.tower, Stack.of(checkpoint, LAYERS, place)
    tower = Stack(0, (), place) if sees is None else Stack.of(checkpoint, sees.blocks, place)
    row, patch = decoder.seconds(torch.float32), tower.seconds(torch.float32)
    passes = {LANGUAGE: row * volume.tokens, VISION: patch * volume.patches}
    times = PASSES * calibration.num_samples
    quantize = {part: times * passes[part] for part in checkpoint.components}
    arithmetic = Arithmetic.of(checkpoint, device, calibration.dtype)
    dtype = arithmetic.dtype
    seconds, answers = 0.0, 0
    if calibration.text is None and calibration.answers == OWN:
        answers = calibration.num_samples
        if dtype != "float32":
            row, patch = decoder.seconds(DTYPES[dtype]), tower.seconds(DTYPES[dtype])
        seconds = answers * (row * volume.prompt + patch * volume.patches)
        seconds += _writing(checkpoint, calibration, decoder, DTYPES[dtype])
    parameters = sum(prod(checkpoint.shape(name)) for name in checkpoint.names())
    return Forecast(checkpoint.name, parameters, answers, seconds, quantize, arithmetic)


def _writing(
    checkpoint: Checkpoint, calibration: Calibration, decoder: Stack, dtype: torch.dtype
) -> float:
    """Seconds in which the model writes all answers, at most."""
    batch = min(BATCH, calibration.num_samples)
    vocabulary, hidden = checkpoint.shape(LM_HEAD)
    rows = min(vocabulary, HEAD_ROWS)
    head = products_seconds([(rows, hidden)], batch, dtype, decoder.place) * vocabulary / rows
    step = batch * decoder.seconds(dtype, batch) + head
    return ceil(calibration.num_samples / batch) * calibration.max_new_tokens * step
