"""About how long a compilation will take, from a few seconds of measurement."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, prod

import torch

from vlmforge.calibrate.record import BATCH, DTYPES
from vlmforge.families.decoder import LAYERS
from vlmforge.original.reference import torch_device
from vlmforge.source.checkpoint import LM_HEAD, Checkpoint
from vlmforge.stages.calibration import Calibration, answering_dtype
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
        quantize_seconds: about the time after it.
        dtype: in which the original model answers.
    """

    model: str
    parameters: int
    answers: int
    answer_seconds: float
    quantize_seconds: float
    dtype: str

    def sentence(self) -> str:
        """One line for people."""
        size = f"{self.parameters / 1e9:.1f} billion parameters"
        if self.parameters < 1e9:
            size = f"{self.parameters / 1e6:.1f} million parameters"
        quantizing = f"about {_duration(self.quantize_seconds)} to quantize it"
        if not self.answers:
            return f"{self.model}, {size}: {quantizing}"
        answering = f"at most {_duration(self.answer_seconds)} for {self.answers} answers of it in"
        return f"{self.model}, {size}: {answering} {self.dtype}, {quantizing}"


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
    pass_seconds = row * volume.tokens + patch * volume.patches
    quantize = PASSES * calibration.num_samples * pass_seconds
    dtype = calibration.dtype or answering_dtype(checkpoint, device)
    seconds, answers = 0.0, 0
    if calibration.text is None:
        answers = calibration.num_samples
        if dtype != "float32":
            row, patch = decoder.seconds(DTYPES[dtype]), tower.seconds(DTYPES[dtype])
        seconds = answers * (row * volume.prompt + patch * volume.patches)
        seconds += _writing(checkpoint, calibration, decoder, DTYPES[dtype])
    parameters = sum(prod(checkpoint.shape(name)) for name in checkpoint.names())
    return Forecast(checkpoint.name, parameters, answers, seconds, quantize, dtype)


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


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    if seconds < 5400:
        return f"{round(seconds / 60)} min"
    return f"{seconds / 3600:.1f} h"
