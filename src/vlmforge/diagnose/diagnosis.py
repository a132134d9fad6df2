"""Diagnosis: everything measured on a package beside its original, and how it is measured."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from vlmforge.decode.deepstack import Deepstack
from vlmforge.decode.inputs import Inputs
from vlmforge.decode.vision import ImageFeatures, VisionEncoder
from vlmforge.diagnose.cases import Case
from vlmforge.diagnose.node import CLASSES, NodeRecord
from vlmforge.diagnose.original import Originals
from vlmforge.diagnose.walk import Side, Walk
from vlmforge.evaluation.divergence import compare
from vlmforge.formats.rotation import Rotation
from vlmforge.images.preprocess import ImagePreprocessor
from vlmforge.images.reading import ImageSource, read_image
from vlmforge.images.received import processed
from vlmforge.images.visual import Frames, Patches
from vlmforge.program.core import Program
from vlmforge.progress import Progress
from vlmforge.prompt.positions import positions_kind, positions_of
from vlmforge.prompt.spans import IMAGE
from vlmforge.run.session import Session
from vlmforge.source.checkpoint import Checkpoint
from vlmforge.source.processor import load_processor

PIXELS, EMBEDDINGS = "preprocess", "embed_tokens"
"""Names of what no program computes: the pixels of an image and the rows of the embedding."""

LOGIT_ROWS = 32
"""Rows of logits compared at once."""


@dataclass
class Agreement:
    """Logits of the package beside the original's.

    Attributes:
        rows: positions compared.
        kl: sum of KL(original ‖ package) in nats.
        top1: positions whose most probable token is the same.
    """

    rows: int = 0
    kl: float = 0.0
    top1: float = 0.0


@dataclass
class Diagnosis:
    """What was measured.

    Attributes:
        records: one a node, in the order of execution, vision first.
        agreement: logits by class of row.
        tokens: rows of each class.
    """

    records: list[NodeRecord] = field(default_factory=list)
    agreement: dict[str, Agreement] = field(
        default_factory=lambda: {label: Agreement() for label in CLASSES}
    )
    tokens: dict[str, int] = field(default_factory=lambda: dict.fromkeys(CLASSES, 0))


@dataclass(frozen=True)
class Features:
    """What stands for an image: the original's rows and the package's, with its grid."""

    real: np.ndarray
    codes: ImageFeatures


def diagnose(
    session: Session,
    checkpoint: Checkpoint,
    originals: Originals,
    cases: Sequence[Case],
    progress: Progress | None = None,
) -> Diagnosis:
    """Run package and original on the same cases and compare every value.

    Args:
        session: the open package.
        checkpoint: the original model, of the same fingerprint.
        originals: the graphs the package was made from.
        cases: what to run; at least one.
        progress: is told of every node.
    """
    diagnosis = Diagnosis()
    features = _encode_images(session, checkpoint, originals, cases, diagnosis, progress)
    sides = [
        _language_side(session, checkpoint, originals.rotation, case, rows, diagnosis)
        for case, rows in zip(cases, features, strict=True)
    ]
    walk = _walk(originals, session.package.text)
    walk.run(sides, progress)
    diagnosis.records += walk.records
    for side in sides:
        _compare_logits(diagnosis, side, session.package.text.outputs[0])
    return diagnosis


def _walk(originals: Originals, program: Program) -> Walk:
    original = originals.components[program.component]
    return Walk(program, original.graph, original.plain)


def _encode_images(
    session: Session,
    checkpoint: Checkpoint,
    originals: Originals,
    cases: Sequence[Case],
    diagnosis: Diagnosis,
    progress: Progress | None,
) -> list[list[Features]]:
    """The image features of each case."""
    encoder, preprocess = session.vision, session.preprocess
    images = [image for case in cases for image in case.images]
    if encoder is None or preprocess is None or not images:
        return [[] for _ in cases]
    program = encoder.machine.program
    record = NodeRecord(PIXELS, "input", "preprocess", "float32")
    processor = load_processor(checkpoint.path, checkpoint.family.processor).image_processor
    sides, visuals = [], []
    for image in images:
        visual = preprocess.images(image)
        wanted = Patches(_original_pixels(processor, image, preprocess.images), visual.grid)
        visuals.append(visual)
        for index in range(visual.grid.frames):
            real, codes = encoder.feeds(wanted, index), encoder.feeds(visual, index)
            pixels = program.inputs[0]
            _compare_inputs(record, real[pixels], codes[pixels], np.zeros(0, np.int8))
            tensors = {name: torch.from_numpy(array) for name, array in real.items()}
            sides.append(Side(tensors, codes, np.zeros(0, np.int8)))
    walk = _walk(originals, program)
    walk.run(sides, progress)
    diagnosis.records += [record, *walk.records]
    walked = iter(sides)
    features = (
        _features(encoder, visual, [next(walked) for _ in range(visual.grid.frames)])
        for visual in visuals
    )
    return [[next(features) for _ in case.images] for case in cases]


def _features(encoder: VisionEncoder, visual: Frames, sides: Sequence[Side]) -> Features:
    """The features of an image whose slices were walked through, original and computed."""
    real = [{name: each.numpy() for name, each in side.real.items()} for side in sides]
    wanted = np.concatenate([encoder.rows(visual, each) for each in real])
    codes = np.concatenate([encoder.rows(visual, side.codes) for side in sides])
    return Features(wanted, ImageFeatures(visual.key, codes, visual.grid))


def _original_pixels(
    processor: Callable[..., Any], image: ImageSource, preprocess: ImagePreprocessor
) -> np.ndarray:
    """What Hugging Face's processor makes of an image, float32 ``[patches, ...]`` of all of it."""
    pictures = preprocess.pictures
    given = pictures.given(read_image(image))
    found = processed(processor, given, pictures.asked, pictures.layout)
    return np.concatenate([each.patches for each in found]).astype(np.float32)


def _language_side(
    session: Session,
    checkpoint: Checkpoint,
    rotation: Rotation | None,
    case: Case,
    features: list[Features],
    diagnosis: Diagnosis,
) -> Side:
    ids, seq = case.token_ids, len(case.token_ids)
    in_prompt = np.arange(seq) < case.prompt
    is_image = in_prompt & bool(features) & (ids == session.prompts.placeholders.image)
    inputs = Inputs.of(ids, is_image * IMAGE, {IMAGE: deque(each.codes for each in features)})
    classes = np.where(is_image, 0, np.where(in_prompt, 1, 2)).astype(np.int8)
    wanted = _embedded(checkpoint, ids, rotation)
    found = session.package.embeddings[ids].copy()
    _compare_embeddings(diagnosis, wanted, found, classes)
    real_rows = np.concatenate([each.real for each in features]) if features else inputs.rows
    deepstack = Deepstack.of(session.package.text)
    kind = positions_kind(session.package.text.meta)
    positions = positions_of(kind, seq, inputs.spans)
    index = np.arange(seq)
    rest = {"position_ids": positions, "logits_index": index}
    codes = deepstack.feeds(found, is_image, inputs.rows) | rest
    given = deepstack.feeds(wanted, is_image, real_rows) | rest
    real = {name: torch.tensor(array) for name, array in given.items()}
    for number, label in enumerate(CLASSES):
        diagnosis.tokens[label] += int((classes == number).sum())
    return Side(real, codes, classes)


def _embedded(checkpoint: Checkpoint, ids: np.ndarray, rotation: Rotation | None) -> np.ndarray:
    """The original's token embeddings, rotated as its values are: float32 ``[seq, hidden]``."""
    unique, where = np.unique(ids, return_inverse=True)
    table = checkpoint.embedding()
    rows: Tensor = torch.cat([table.read(int(i), int(i) + 1) for i in unique])
    if rotation is not None:
        rows = (rows.double() @ rotation.matrix).float()
    return rows.numpy()[where]


def _compare_embeddings(
    diagnosis: Diagnosis, wanted: np.ndarray, found: np.ndarray, classes: np.ndarray
) -> None:
    record = next((r for r in diagnosis.records if r.name == EMBEDDINGS), None)
    if record is None:
        record = NodeRecord(EMBEDDINGS, "input", "embedding", "float32")
        diagnosis.records.append(record)
    tokens = classes != 0
    _compare_inputs(record, wanted[tokens], found[tokens], classes[tokens])


def _compare_inputs(
    record: NodeRecord, wanted: np.ndarray, found: np.ndarray, classes: np.ndarray
) -> None:
    """Compare what reaches a program from outside; its error is local and accumulated alike."""
    want, have = (array.reshape(-1, array.shape[-1]) for array in (wanted, found))
    rows = classes if len(classes) == len(want) else np.zeros(len(want), np.int8)
    for number, label in enumerate(CLASSES):
        part = rows == number
        record.local[label].add(want[part], have[part])
        record.accumulated[label].add(want[part], have[part])
    record.channels.add(want, have, want)
    record.largest = max(record.largest, float(np.abs(want).max(initial=0)))
    record.elements += want.size


def _compare_logits(diagnosis: Diagnosis, side: Side, output: str) -> None:
    wanted, found = side.real[output].numpy(), side.codes[output]
    for start in range(0, len(wanted), LOGIT_ROWS):
        part = slice(start, start + LOGIT_ROWS)
        agree, kl = compare(wanted[part], found[part])
        for number, label in enumerate(CLASSES):
            rows = side.classes[part] == number
            total = diagnosis.agreement[label]
            total.rows += int(rows.sum())
            total.kl += float(kl[rows].sum())
            total.top1 += float(agree[rows].sum())
