"""About how long a compilation will take, from a few seconds of measurement."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil, prod

import torch

from vlmforge.arithmetic.kernels import has_order
from vlmforge.calibrate.answers import OWN
from vlmforge.calibrate.record import BATCH, DTYPES
from vlmforge.families.decoder import LAYERS
from vlmforge.families.family import LANGUAGE, VISION
from vlmforge.original.reference import torch_device
from vlmforge.progress import duration
from vlmforge.quantize.observe.held import ROWS as MOST
from vlmforge.source.checkpoint import LM_HEAD, Checkpoint
from vlmforge.stages.arithmetic import Arithmetic
from vlmforge.stages.calibration import Calibration
from vlmforge.stages.stack import Stack, products_seconds
from vlmforge.stages.volume import Volume

HEAD_ROWS = 8192
"""Rows of the logits' weight that are measured; the rest is as fast."""

PASSES = 1.8
"""What running samples through the model while it is quantized takes, in units of its products in
float32: once as it is, in bfloat16, once on codes, and what is counted on the way."""

ATTENDED = 2
"""How often samples attend meanwhile."""

ATTENTION = 0.6
"""The speed of attention, over that of products."""

ROUNDING = 1.3
"""The time of rounding, over that of its products."""


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

    What a configuration lets learn is not counted; it may take hours.

    Args:
        checkpoint: whose shapes are measured; no weight is read.
        calibration: what will be recorded.
        device: ``"cpu"`` or ``"gpu"``.
    """
    volume, place = Volume.of(checkpoint, calibration), torch_device(device)
    sees, decoder = checkpoint.family.tower, Stack.of(checkpoint, LAYERS, place)
    tower = Stack(0, (), place) if sees is None else Stack.of(checkpoint, sees.blocks, place)
    row, patch = decoder.seconds(torch.float32), tower.seconds(torch.float32)
    count, attending = calibration.num_samples, _attending(tower, patch, volume)
    quantize = {LANGUAGE: _quantizing(decoder, row, count * volume.tokens)}
    if VISION in checkpoint.components:
        patches = count * volume.patches
        held = min(1.0, MOST / patches) * count
        quantize[VISION] = _quantizing(tower, patch, patches) + ATTENDED * held * attending
    arithmetic = Arithmetic.of(checkpoint, device, calibration.dtype)
    dtype = arithmetic.dtype
    seconds, answers = 0.0, 0
    if calibration.text is None and calibration.answers == OWN:
        answers = count
        if dtype != "float32":
            row = decoder.seconds(DTYPES[dtype])
            patch = patch if has_order(str(place)) else tower.seconds(DTYPES[dtype])
        seconds = answers * (row * volume.prompt + patch * volume.patches + attending)
        seconds += _writing(checkpoint, calibration, decoder, DTYPES[dtype])
    parameters = sum(prod(checkpoint.shape(name)) for name in checkpoint.names())
    return Forecast(checkpoint.name, parameters, answers, seconds, quantize, arithmetic)


def _quantizing(stack: Stack, row: float, rows: float) -> float:
    """Seconds to quantize layers, of which all products of a row take ``row`` seconds."""
    if not stack.products:
        return 0.0
    return row * (PASSES * min(rows, MOST) + ROUNDING * stack.rounding / stack.operations)


def _attending(stack: Stack, row: float, volume: Volume) -> float:
    """Seconds in which the patches of an image attend to each other in all blocks."""
    if not stack.products:
        return 0.0
    return row * volume.pairs * stack.attention / (ATTENTION * stack.operations)


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
