"""What a model is calibrated with, and the stage that records language samples."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from vlmforge.calibrate.images import ImageSource
from vlmforge.calibrate.record import record_language
from vlmforge.errors import CalibrationError
from vlmforge.progress import Progress
from vlmforge.source.checkpoint import Checkpoint

FLOAT32_BYTES = 1 << 30
"""A model larger than this answers the calibration prompts in bfloat16."""


@dataclass(frozen=True)
class TextCalibration:
    """What a plain decoder is calibrated with.

    Attributes:
        files: UTF-8 texts.
        length: tokens of a sample.
    """

    files: Sequence[Path]
    length: int = 512


@dataclass(frozen=True)
class Calibration:
    """What a model is calibrated with.

    Attributes:
        images: a directory of the user's own, ``"synthetic"`` for drawn scenes, None for COCO.
        text: for a plain decoder, and nothing else.
        num_samples: of each component.
        max_new_tokens: longest answer.
        seed: chooses among the user's images or windows of texts, or draws scenes.
    """

    images: ImageSource = None
    text: TextCalibration | None = None
    num_samples: int = 100
    max_new_tokens: int = 500
    seed: int = 0


def require_calibration(checkpoint: Checkpoint, text: TextCalibration | None) -> None:
    """A plain decoder is calibrated with texts, a vision-language model with images."""
    plain = "vision" not in checkpoint.components
    if plain and text is None:
        raise CalibrationError(
            "a plain decoder is calibrated with texts, and none are given",
            where=checkpoint.path,
            mend="name them with --calibration-text FILE",
        )
    if not plain and text is not None:
        raise CalibrationError(
            "texts calibrate plain decoders only; this model also sees",
            where=checkpoint.path,
            mend="leave out --calibration-text; --images DIR names your own images",
        )


def calibrate_language(
    checkpoint: Checkpoint,
    images: Path,
    output_dir: Path,
    num_samples: int | None,
    max_new_tokens: int = 500,
    device: str = "cpu",
    progress: Progress | None = None,
) -> Path:
    """Language samples; a large model answers in bfloat16, so that no float copy is held."""
    elements = sum(torch.Size(checkpoint.shape(name)).numel() for name in checkpoint.names())
    dtype = "float32" if 4 * elements <= FLOAT32_BYTES else "bfloat16"
    where = (checkpoint, images, output_dir, num_samples)
    return record_language(*where, max_new_tokens, device, dtype, progress=progress)
