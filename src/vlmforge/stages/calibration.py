"""What a model is calibrated with, and the stage that records language samples."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path

import torch

from vlmforge.calibrate.images import ImageSource
from vlmforge.calibrate.record import record_language
from vlmforge.errors import CalibrationError
from vlmforge.images.layout import DYNAMIC, FIXED, Layout
from vlmforge.machine.ram import physical_memory
from vlmforge.progress import Progress
from vlmforge.source.checkpoint import Checkpoint

FLOAT32_BYTES = 1 << 30
"""A model that is no larger in float32 answers the calibration prompts in it."""

FLOAT32_SHARE = 0.6
"""Most of the memory that the model may take in float32."""


@dataclass(frozen=True)
class TextCalibration:
    """What a plain decoder is calibrated with.

    Attributes:
        files: UTF-8 texts.
        length: tokens of a sample.
    """

    files: Sequence[Path | str]
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
        dtype: in which the original model answers, ``"float32"`` or ``"bfloat16"``; what
            :func:`answering_dtype` chooses if None.
        layout: the sizes of images.

    Raises:
        CalibrationError: no samples, or no tokens, are asked for.
    """

    images: ImageSource = None
    text: TextCalibration | None = None
    num_samples: int = 100
    max_new_tokens: int = 500
    seed: int = 0
    dtype: str | None = None
    layout: Layout = DYNAMIC

    def __post_init__(self) -> None:
        if self.num_samples < 1 or self.max_new_tokens < 1:
            raise CalibrationError(
                f"{self.num_samples} samples with answers of {self.max_new_tokens} tokens cannot "
                "be made",
                mend="give --num-samples and --max-new-tokens of 1 or more",
            )


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


def answering_dtype(checkpoint: Checkpoint, device: str = "cpu") -> str:
    """``"bfloat16"`` for a large model, where that is faster or all that memory holds.

    Processors without instructions for bfloat16 imitate it, several times slower than float32.
    """
    elements = sum(prod(checkpoint.shape(name)) for name in checkpoint.names())
    if 4 * elements <= FLOAT32_BYTES:
        return "float32"
    fast = device != "cpu" or torch.ops.mkldnn._is_mkldnn_bf16_supported()
    memory = physical_memory()
    tight = memory is not None and 4 * elements > FLOAT32_SHARE * memory
    return "bfloat16" if fast or tight else "float32"


def calibrate_language(
    checkpoint: Checkpoint,
    images: Path,
    output_dir: Path,
    num_samples: int | None,
    max_new_tokens: int = 500,
    device: str = "cpu",
    dtype: str | None = None,
    layout: Layout = FIXED,
    progress: Progress | None = None,
) -> Path:
    """Language samples, in the arithmetic asked for or what :func:`answering_dtype` chooses."""
    dtype = dtype or answering_dtype(checkpoint, device)
    where = (checkpoint, images, output_dir, num_samples)
    return record_language(*where, max_new_tokens, device, dtype, layout, progress)
