"""Costs: about how long each step of a compilation takes, and what it needs of memory and disk.

From shapes, from how much is recorded, and from a few seconds of measurement. Learning, which says
itself what it takes, is not counted.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod

from vlmforge.calibrate.answers import DRAFT, OWN
from vlmforge.calibrate.record import BATCH
from vlmforge.families.family import LANGUAGE
from vlmforge.quantize.observe.held import ROWS
from vlmforge.quantize.weights.compensate import ROWS as PIECE
from vlmforge.source.checkpoint import EMBEDDING, LM_HEAD, Checkpoint
from vlmforge.stages.calibration import Calibration
from vlmforge.stages.forecast import Forecast
from vlmforge.stages.mblt import CHECKED_ROWS
from vlmforge.stages.volume import FLOAT32, Volume

LIBRARIES = 450 << 20
"""Bytes of memory that the libraries take."""

IMAGE = 150_000
"""Bytes of a photo as it is collected."""

IMAGE_SECONDS = 0.05
"""To read one image and to write it."""

DISK_SPEED = 300e6
"""Bytes that are read, hashed and written in a second."""

HELD = 3
"""Values a row that are held of all samples between two products, each of the stream's width."""

CODED = 4
"""Bytes of codes a channel of the stream that are held of a row between two products."""

COPIES = 3
"""Copies of a weight while it is rounded: float32 ones of a piece, and codes of all."""

SQUARES = 4
"""Float32 values for every pair of a product's inputs: Hessian, factor, and both in order."""

VALUES = 3
"""Values that a graph has for each output of a product."""


WIDTHS = {"float64": 8, "float32": 4}
"""Bytes of an element, where they are not two."""


@dataclass(frozen=True)
class Cost:
    """What a step takes.

    Attributes:
        seconds: about.
        memory: bytes at its height, those of libraries included.
        left: bytes of the files it leaves.
        beside: bytes on the disk besides while it runs.
    """

    seconds: float
    memory: int
    left: int = 0
    beside: int = 0


@dataclass(frozen=True)
class Weights:
    """The weights of a component.

    Attributes:
        stored: bytes in the checkpoint.
        elements: of all.
        largest: elements of the largest.
        piece: most elements that are rounded at once.
        outputs: of all products together.
        widest: most inputs of a product.
    """

    stored: int
    elements: int
    largest: int
    piece: int
    outputs: int
    widest: int

    @staticmethod
    def of(checkpoint: Checkpoint, part: str) -> Weights:
        """Those of a component, read off the headers; the token embedding is the package's."""
        names = [n for n in checkpoint.names() if n != EMBEDDING and (_part(n) == part)]
        shapes = {name: checkpoint.shape(name) for name in names}
        sizes = {name: prod(shape) for name, shape in shapes.items()}
        widths = {name: WIDTHS.get(checkpoint.dtype(name), 2) for name in names}
        products = [shape for shape in shapes.values() if len(shape) > 1]
        return Weights(
            sum(sizes[name] * widths[name] for name in names),
            sum(sizes.values()),
            max(sizes.values(), default=0),
            max((min(shape[0], PIECE) * prod(shape[1:]) for shape in products), default=0),
            sum(shape[0] for shape in products),
            max((prod(shape[1:]) for shape in products), default=0),
        )


def costs(checkpoint: Checkpoint, calibration: Calibration, found: Forecast) -> Mapping[str, Cost]:
    """What each step takes, by its name; see :mod:`vlmforge.stages.steps`."""
    volume, count = Volume.of(checkpoint, calibration), calibration.num_samples
    parts = {part: Weights.of(checkpoint, part) for part in checkpoint.components}
    stored = sum(each.stored for each in parts.values())
    known = {"check": Cost(stored / DISK_SPEED, LIBRARIES)}
    if calibration.text is not None:
        known["calibrate text"] = Cost(1, LIBRARIES, round(count * volume.language))
    else:
        known["images"] = Cost(count * IMAGE_SECONDS, LIBRARIES, count * IMAGE)
        answering = LIBRARIES + _answering(checkpoint, calibration, found)
        left, beside = round(count * volume.language), 0
        if calibration.answers == DRAFT:
            beside = stored + 2 * sum(each.elements for each in parts.values())
        known["calibrate language"] = Cost(found.answer_seconds, answering, left, beside)
        left = round(count * volume.vision)
        known["calibrate vision"] = Cost(count * IMAGE_SECONDS, LIBRARIES, left)
    for part, weights in parts.items():
        known[f"mblt {part}"] = _capture(weights)
    for part, weights in parts.items():
        rows = count * (volume.tokens if part == LANGUAGE else volume.patches)
        known[f"mxq {part}"] = _quantization(
            weights, rows, _width(checkpoint, part), found.quantize[part]
        )
    programs = sum(each.elements for each in parts.values())
    embedding = prod(checkpoint.shape(EMBEDDING)) * FLOAT32
    seconds = (programs + 2 * embedding) / DISK_SPEED
    known["package"] = Cost(seconds, LIBRARIES + programs, programs + embedding, embedding)
    return known


def _capture(weights: Weights) -> Cost:
    """Weights are streamed, and stand in a nameless file until the graph is whole."""
    values = CHECKED_ROWS * FLOAT32 * VALUES * weights.outputs
    seconds = 4 * weights.stored / DISK_SPEED
    memory = LIBRARIES + COPIES * FLOAT32 * weights.largest
    return Cost(seconds, memory, weights.stored + values, weights.stored)


def _quantization(weights: Weights, rows: float, width: int, seconds: float) -> Cost:
    """Samples advance together; rounded weights stand in files of their own until all are."""
    held = min(rows, ROWS)
    observed, coded = FLOAT32 * held * HELD * width, held * (weights.widest + CODED * width)
    rounded = (
        FLOAT32 * (COPIES * weights.piece + SQUARES * weights.widest**2) + COPIES * weights.largest
    )
    memory = LIBRARIES + round(max(observed, coded) + rounded)
    return Cost(seconds, memory, weights.elements, 2 * weights.elements)


def _answering(checkpoint: Checkpoint, calibration: Calibration, found: Forecast) -> int:
    """What is held of the original model, and the logits of a batch.

    Weights in the dtype of the arithmetic are pages of the checkpoint's files; of others, all are
    held, or the largest where they are read as they are needed.
    """
    way = found.arithmetic
    sizes = [
        prod(checkpoint.shape(name)) for name in checkpoint.names()
        if checkpoint.dtype(name) != way.dtype
    ]  # fmt: skip
    held = sum(sizes) if calibration.answers == OWN and not way.streamed else max(sizes, default=0)
    vocabulary, _ = checkpoint.shape(LM_HEAD)
    return held * WIDTHS.get(way.dtype, 2) + BATCH * vocabulary * FLOAT32


def _width(checkpoint: Checkpoint, part: str) -> int:
    """Of the residual stream."""
    if part == LANGUAGE:
        return checkpoint.shape(EMBEDDING)[1]
    tower = checkpoint.family.tower
    assert tower is not None, "the model sees"
    first = [checkpoint.shape(n) for n in checkpoint.names() if n.startswith(f"{tower.blocks}0.")]
    return min((shape[1] for shape in first if len(shape) == 2), default=1)


def _part(name: str) -> str:
    return LANGUAGE if name.startswith(("language_model.", "lm_head.")) else "vision"
