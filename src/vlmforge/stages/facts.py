"""Facts: what the files of a step follow from besides those of other steps."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path

from vlmforge.calibrate.coco import DATASET, SPLIT
from vlmforge.calibrate.given import read_given
from vlmforge.calibrate.images import SYNTHETIC, looked_at
from vlmforge.config import CompileConfig
from vlmforge.families.registry import declaring_module
from vlmforge.images.layout import Layout
from vlmforge.source.checkpoint import Checkpoint
from vlmforge.stages.arithmetic import Arithmetic
from vlmforge.stages.calibration import Calibration
from vlmforge.stages.step import Facts
from vlmforge.stages.version import code_version

SETTINGS = {".jinja", ".json", ".model", ".txt"}
"""Suffixes of what a checkpoint has beside its weights: tokenizer, templates, processor."""

CONFIGURATION = "configuration"

TEMPLATES = "additional_chat_templates"
"""A folder of a checkpoint with further templates; any other is none of the model's."""


def model_facts(checkpoint: Checkpoint) -> Facts:
    """The model: its name, its weights, what it computes, and what reads its prompts and images."""
    folders = (checkpoint.path, checkpoint.path / TEMPLATES)
    found = (path for folder in folders for path in sorted(folder.glob("*")))
    files = [path for path in found if path.suffix in SETTINGS and path.is_file()]
    declaring = declaring_module(checkpoint.family.architecture)
    return {
        "name of the model": checkpoint.model_id,
        "model": checkpoint.fingerprint(),
        "declaration of its family": code_version(*filter(None, [declaring])),
        "tokenizer, template or processor": _of_files(
            (path.relative_to(checkpoint.path).as_posix(), path) for path in files
        ),
    }


def image_facts(calibration: Calibration) -> Facts:
    """Which images are collected; of the user's own, all that decide which are chosen."""
    source, count = calibration.images, calibration.num_samples
    if source is None:
        chosen = f"{DATASET} {SPLIT}"
    elif source == SYNTHETIC:
        chosen = SYNTHETIC
    else:
        names, files = looked_at(Path(source), count, calibration.seed)
        chosen = _of_texts([*names, _of_files((file.name, file) for file in files)])
    return {
        "set of images": chosen,
        "number of samples": str(count),
        "seed": str(calibration.seed),
        **_layout(calibration.layout),
    }


def answer_facts(checkpoint: Checkpoint, calibration: Calibration, device: str) -> Facts:
    """How the original model answers."""
    return {
        "length of answers": str(calibration.max_new_tokens),
        "arithmetic of the original": Arithmetic.of(checkpoint, device, calibration.dtype).dtype,
        "answers": "given" if calibration.answers_file else str(calibration.answers),
        "device": device,
    }


def sample_facts(calibration: Calibration) -> Facts:
    """How images become samples; of given answers, which, and what all of them are."""
    count = {"number of samples": str(calibration.num_samples), **_layout(calibration.layout)}
    if (file := calibration.answers_file) is None:
        return count
    images = sorted({each.image for each in read_given(file)})
    every = [(file.name, file), *((str(image), image) for image in images)]
    return {**count, "given answers": _of_files(every), "seed": str(calibration.seed)}


def text_facts(calibration: Calibration) -> Facts:
    """Which windows of texts are recorded."""
    assert calibration.text is not None
    files = [Path(file) for file in calibration.text.files]
    return {
        "set of texts": _of_files((file.name, file) for file in files),
        "number of samples": str(calibration.num_samples),
        "length of samples": str(calibration.text.length),
        "seed": str(calibration.seed),
    }


def config_facts(config: CompileConfig) -> Facts:
    """What is asked for, and what of it by name; where a matrix lies does not change it."""
    named = config.model_dump(mode="json", by_alias=True, exclude_unset=True)
    named.get("equivalentTransformation", {}).get("HeadOutChRotation", {}).pop("matrixPath", None)
    return {CONFIGURATION: _of_texts([config.fingerprint(), json.dumps(named, sort_keys=True)])}


def _layout(layout: Layout) -> Facts:
    return {"size of images": json.dumps(layout.facts())}


def _of_files(files: Iterable[tuple[str, Path]]) -> str:
    return _of_texts(
        f"{name}\0{hashlib.sha256(path.read_bytes()).hexdigest()}" for name, path in files
    )


def _of_texts(texts: Iterable[str]) -> str:
    digest = hashlib.sha256()
    for text in texts:
        digest.update(f"{text}\n".encode("utf-8", "surrogateescape"))
    return digest.hexdigest()
