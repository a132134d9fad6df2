"""Costs: about how long each step of a compilation takes, and what it needs of memory and disk.

From shapes, from how much is recorded, and from a few seconds of measurement. Learning, which says
itself what it takes, is not counted.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod

from vlmforge.calibrate.answers import DRAFT
from vlmforge.calibrate.images import SYNTHETIC
from vlmforge.families.family import LANGUAGE, VISION
from vlmforge.graph.stream import SEGMENT_BYTES
from vlmforge.quantize.observe.held import ROWS
from vlmforge.quantize.observe.histogram import BINS
from vlmforge.quantize.weights.compensate import ROWS as PIECE
from vlmforge.source.checkpoint import EMBEDDING, Checkpoint
from vlmforge.stages.answering import READ_SPEED
from vlmforge.stages.calibration import Calibration
from vlmforge.stages.forecast import Forecast
from vlmforge.stages.mblt import CHECKED_ROWS
from vlmforge.stages.volume import FLOAT32, Volume
from vlmforge.stages.weights import Weights

LIBRARIES = 450 << 20
"""Bytes of memory that the libraries take."""

PHOTO, DRAWING = 150_000, 10_000
"""Bytes of an image as it is collected."""

IMAGE_SECONDS = 0.02
"""To read one image and to write it."""

HELD = 3
"""Values a row that are held of all samples between two products, each of the stream's width."""

CODED = 4
"""Bytes of codes a channel of the stream that are held of a row between two products."""

KEPT = 3
"""Files that hold values of all samples while they are kept: the last one, and the next twice."""

SHOWN = 256
"""Rows, as wide as the stream, that are kept for a product: those of queries and keys, of all."""

COPIES = 3
"""Copies of a weight while it is rounded: float32 ones of a piece, and codes of all."""

SQUARES = 3.5
"""Float32 values for every pair of a product's inputs: Hessian, the same in order, its factor, and
half as much that this is made of."""

VALUES = 2
"""Values that a graph has for each output of a product."""

COMPARED = 6
"""Copies in float64 of a value that is compared with the original's."""

FLOAT64 = 8

OPENED = 0.25
"""Bytes that a package holds once it is opened, for each of its programs: caches and tables."""


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


def costs(
    checkpoint: Checkpoint,
    calibration: Calibration,
    found: Forecast,
    *,
    compensates: bool = True,
) -> Mapping[str, Cost]:
    """What each step takes, by its name; see :mod:`vlmforge.stages.steps`."""
    volume, count = Volume.of(checkpoint, calibration), calibration.num_samples
    parts = {part: Weights.of(checkpoint, part) for part in checkpoint.components}
    rows = {LANGUAGE: volume.tokens, VISION: volume.patches}
    held = {
        part: _held(weights, count * rows[part], _width(checkpoint, part), compensates)
        for part, weights in parts.items()
    }
    stored = sum(each.stored for each in parts.values())
    known = {"check": Cost(stored / READ_SPEED, LIBRARIES)}
    if calibration.text is not None:
        known["calibrate text"] = Cost(1, LIBRARIES, round(count * volume.language))
    else:
        image = DRAWING if calibration.images == SYNTHETIC else PHOTO
        known["images"] = Cost(count * IMAGE_SECONDS, LIBRARIES, count * image)
        known["calibrate language"] = _recording(calibration, found, volume, parts, held)
        left = round(count * volume.vision)
        known["calibrate vision"] = Cost(count * IMAGE_SECONDS, LIBRARIES, left)
    checked = {LANGUAGE: CHECKED_ROWS, VISION: volume.first}
    for part, weights in parts.items():
        known[f"mblt {part}"] = _capture(weights, checked[part])
    for part, weights in parts.items():
        kept = _kept(weights, count * rows[part], _width(checkpoint, part))
        left, beside = weights.elements, 2 * weights.elements + kept
        known[f"mxq {part}"] = Cost(found.quantize[part], LIBRARIES + held[part], left, beside)
    programs = sum(each.elements for each in parts.values())
    embedding = prod(checkpoint.shape(EMBEDDING)) * FLOAT32
    seconds = (programs + 2 * embedding) / READ_SPEED
    opened = LIBRARIES + round(OPENED * programs)
    known["package"] = Cost(seconds, opened, programs + embedding, embedding)
    return known


def _recording(
    calibration: Calibration,
    found: Forecast,
    volume: Volume,
    parts: Mapping[str, Weights],
    held: Mapping[str, int],
) -> Cost:
    """Samples of the decoder; a draft is a model that is compiled."""
    seconds, memory, beside = found.answer_seconds, found.answer_memory, 0
    if calibration.answers == DRAFT:
        seconds += sum(_capture(each, CHECKED_ROWS).seconds for each in parts.values())
        memory = max(memory, *held.values())
        beside = sum(each.stored + 2 * each.elements for each in parts.values())
    left = round(calibration.num_samples * volume.language)
    return Cost(seconds, LIBRARIES + memory, left, beside)


def _capture(weights: Weights, rows: float) -> Cost:
    """Weights are streamed, and stand in a nameless file until the graph is whole.

    Args:
        weights: of the component.
        rows: of the sample it is checked on, whose values are kept, the original's meanwhile.
    """
    outputs = [outputs for outputs, _ in weights.products]
    values = round(rows * FLOAT32 * VALUES * sum(outputs))
    memory = LIBRARIES + round(rows * FLOAT64 * COMPARED * max(outputs))
    left = weights.stored + values
    return Cost(4 * weights.stored / READ_SPEED, memory, left, left)


def _held(weights: Weights, rows: float, width: int, compensates: bool) -> int:
    """Bytes that quantization holds of samples, which advance together, and of one weight."""
    held = min(rows, ROWS)
    read = max(outputs * inputs for outputs, inputs in weights.products)
    observed = FLOAT32 * held * HELD * width + min(FLOAT32 * read, SEGMENT_BYTES)
    if not compensates:
        return round(max(observed, COPIES * read))
    most = max(inputs for _, inputs in weights.products)
    coded = held * (most + CODED * width)
    return round(max(observed, coded + max(_rounded(*each) for each in weights.products)))


def _kept(weights: Weights, rows: float, width: int) -> int:
    """Bytes on the disk of how far samples have come, while that is written anew."""
    seen = len(weights.products) * (2 * FLOAT64 * BINS + SHOWN * FLOAT32 * width)
    return round(KEPT * FLOAT32 * min(rows, ROWS) * width + seen)


def _rounded(outputs: int, inputs: int) -> int:
    """Bytes that rounding a weight with error compensation takes."""
    piece = min(outputs, PIECE) * inputs
    squares = round(SQUARES * inputs**2)
    return COPIES * outputs * inputs + FLOAT32 * (COPIES * piece + squares)


def _width(checkpoint: Checkpoint, part: str) -> int:
    """Of the residual stream."""
    if part == LANGUAGE:
        return checkpoint.shape(EMBEDDING)[1]
    tower = checkpoint.family.tower
    assert tower is not None, "the model sees"
    first = [checkpoint.shape(n) for n in checkpoint.names() if n.startswith(f"{tower.blocks}0.")]
    return min((shape[1] for shape in first if len(shape) == 2), default=1)
