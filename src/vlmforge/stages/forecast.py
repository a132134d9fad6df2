"""About how long a compilation will take, from a few seconds of measurement."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import ceil, prod

import torch

from vlmforge.calibrate.record import BATCH, DTYPES
from vlmforge.original.reference import torch_device
from vlmforge.source.checkpoint import LM_HEAD, Checkpoint
from vlmforge.stages.calibration import PROMPT_TOKENS, Calibration, answering_dtype

LAYER = re.compile(r"language_model\.layers\.(\d+)\.")
MEASURED_SECONDS = 0.7
"""How long each of the two speeds is measured."""

HEAD_ROWS = 8192
"""Rows of the logits' weight that are measured; the rest is as fast."""

OBSERVED_ROWS = 1024
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
    """Measure products of one layer's shapes, and multiply.

    What a configuration lets learn is not counted: it may take hours.

    Args:
        checkpoint: whose shapes are measured; no weight is read.
        calibration: what will be recorded.
        device: ``"cpu"`` or ``"gpu"``.
    """
    layers, layer = _layers(checkpoint)
    parameters = sum(prod(checkpoint.shape(name)) for name in checkpoint.names())
    text = calibration.text
    tokens = PROMPT_TOKENS + calibration.max_new_tokens if text is None else text.length
    place = torch_device(device)
    row = _seconds(layer, OBSERVED_ROWS, torch.float32, place) / OBSERVED_ROWS
    quantize = PASSES * layers * row * calibration.num_samples * tokens
    dtype = calibration.dtype or answering_dtype(checkpoint, device)
    seconds, answers = 0.0, 0
    if text is None:
        answers = calibration.num_samples
        seconds = _answering(checkpoint, calibration, layers, layer, DTYPES[dtype], place)
    return Forecast(checkpoint.name, parameters, answers, seconds, quantize, dtype)


def _answering(
    checkpoint: Checkpoint,
    calibration: Calibration,
    layers: int,
    layer: Sequence[tuple[int, int]],
    dtype: torch.dtype,
    place: torch.device,
) -> float:
    """Seconds in which the model answers all questions, at most."""
    batch = min(BATCH, calibration.num_samples)
    vocabulary, hidden = checkpoint.shape(LM_HEAD)
    rows = min(vocabulary, HEAD_ROWS)
    head = _seconds([(rows, hidden)], batch, dtype, place) * vocabulary / rows
    step = layers * _seconds(layer, batch, dtype, place) + head
    prompt = layers * _seconds(layer, OBSERVED_ROWS, dtype, place) / OBSERVED_ROWS
    each = PROMPT_TOKENS * batch * prompt + calibration.max_new_tokens * step
    return ceil(calibration.num_samples / batch) * each


def _layers(checkpoint: Checkpoint) -> tuple[int, list[tuple[int, int]]]:
    """How many layers the decoder has, and the shapes of the products of the first."""
    numbers = {int(found[1]) for name in checkpoint.names() if (found := LAYER.match(name))}
    first = [name for name in checkpoint.names() if name.startswith("language_model.layers.0.")]
    shapes = [checkpoint.shape(name) for name in first]
    return len(numbers), [(shape[0], shape[1]) for shape in shapes if len(shape) == 2]


@torch.inference_mode()
def _seconds(
    shapes: Sequence[tuple[int, int]], rows: int, dtype: torch.dtype, place: torch.device
) -> float:
    """The time of products with weights ``[out, in]`` of these shapes, each once, of ``rows``."""
    weights = [torch.ones(shape, dtype=dtype, device=place) for shape in shapes]
    inputs = [torch.ones(rows, shape[1], dtype=dtype, device=place) for shape in shapes]

    def once() -> None:
        for weight, value in zip(weights, inputs, strict=True):
            torch.nn.functional.linear(value, weight)
        if place.type == "cuda":
            torch.cuda.synchronize()

    once()
    return _timed(once)


def _timed(work: Callable[[], None]) -> float:
    """The mean seconds of several runs."""
    start, runs = time.perf_counter(), 0
    while (spent := time.perf_counter() - start) < MEASURED_SECONDS or not runs:
        work()
        runs += 1
    return spent / runs


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    if seconds < 5400:
        return f"{round(seconds / 60)} min"
    return f"{seconds / 3600:.1f} h"
