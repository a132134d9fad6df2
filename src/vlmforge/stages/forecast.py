"""About how long a compilation will take, from a few seconds of measurement."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod

from vlmforge.calibrate.answers import DRAFT
from vlmforge.families.decoder import LAYERS
from vlmforge.families.family import LANGUAGE, VISION
from vlmforge.original.reference import torch_device
from vlmforge.progress import duration
from vlmforge.quantize.observe.held import ROWS as MOST
from vlmforge.source.checkpoint import Checkpoint
from vlmforge.stages.answering import Answering
from vlmforge.stages.arithmetic import Arithmetic
from vlmforge.stages.calibration import Calibration
from vlmforge.stages.draft import SAMPLES
from vlmforge.stages.stack import EXACT, ROUNDED, Stack
from vlmforge.stages.volume import Volume

PASSES = 1.25
"""How often samples are multiplied while a model is quantized, in units of products of what is
rounded to bfloat16: once so, and once on codes."""

ATTENDED = 2.5
"""How often they attend, in the same units: once so, and once in float32."""

VALUED = 4.0
"""The time of all else that is done with what products make, over that of :meth:`Stack.valued`."""

TURNED = 6
"""Times that weights are turned, in units of products in float32: three times, in float64."""

ROUNDING = 1.3
"""The time of rounding, over that of its products."""


@dataclass(frozen=True)
class Forecast:
    """What a compilation is about to do.

    Attributes:
        model: its name.
        parameters: of the model.
        answers: how many questions the original model, or a draft of it, answers.
        answer_seconds: most time that takes, if every answer is as long as it may be.
        quantize: about the time after it, by component.
        arithmetic: in which the original model answers.
        answer_memory: bytes that answering takes.
    """

    model: str
    parameters: int
    answers: int
    answer_seconds: float
    quantize: Mapping[str, float]
    arithmetic: Arithmetic
    answer_memory: int = 0

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


def forecast(
    checkpoint: Checkpoint,
    calibration: Calibration,
    device: str = "cpu",
    *,
    compensates: bool = True,
) -> Forecast:
    """Measure products of the shapes of one layer and one block, and multiply.

    What a configuration lets learn is not counted; it may take hours.

    Args:
        checkpoint: whose shapes are measured; no weight is read.
        calibration: what will be recorded.
        device: ``"cpu"`` or ``"gpu"``.
        compensates: whether errors of rounding are compensated.
    """
    volume, place = Volume.of(checkpoint, calibration), torch_device(device)
    sees, decoder = checkpoint.family.tower, Stack.of(checkpoint, LAYERS, place)
    tower = Stack(0, (), place) if sees is None else Stack.of(checkpoint, sees.blocks, place)
    way, count = Arithmetic.of(checkpoint, device, calibration.dtype), calibration.num_samples
    answering = Answering(checkpoint, calibration, volume, decoder, tower, way)
    seconds, stacks = answering.seconds(), {LANGUAGE: decoder, VISION: tower}
    running = _running(decoder, tower, volume, count)
    if calibration.answers == DRAFT:
        few = min(SAMPLES, count) / count
        seconds += sum(few * running[part] + _rounding(stacks[part], False) for part in stacks)
    quantize = {
        part: running[part] + _rounding(stacks[part], compensates) for part in checkpoint.components
    }
    parameters = sum(prod(checkpoint.shape(name)) for name in checkpoint.distinct())
    return Forecast(
        checkpoint.name, parameters, answering.count, seconds,
        quantize, way, answering.memory(),
    )  # fmt: skip


def _running(decoder: Stack, tower: Stack, volume: Volume, count: int) -> dict[str, float]:
    """Seconds in which samples pass through each component while it is quantized."""
    multiplied = tower.seconds(ROUNDED)
    row = PASSES * decoder.seconds(ROUNDED) + VALUED * decoder.valued()
    patch = PASSES * multiplied + VALUED * tower.valued()
    seen = min(count, MOST / volume.patches) if volume.patches else 0.0
    attending = ATTENDED * tower.attending(multiplied, volume)
    return {
        LANGUAGE: row * min(count * volume.tokens, MOST),
        VISION: seen * (patch * volume.patches + attending),
    }


def _rounding(stack: Stack, compensates: bool) -> float:
    """Seconds in which the weights of layers are read, turned and rounded."""
    if not stack.products:
        return 0.0
    operations = TURNED * stack.turning + compensates * ROUNDING * stack.rounding
    return stack.seconds(EXACT) * operations / stack.operations
