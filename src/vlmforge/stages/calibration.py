"""What a model is calibrated with, and the stage that records language samples."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from vlmforge.calibrate.answers import (
    DRAFT,
    OWN,
    AnswerSource,
    WrittenAnswers,
    answers_file,
)
from vlmforge.calibrate.images import ImageSource
from vlmforge.calibrate.kept import KeptAnswers
from vlmforge.calibrate.record import record_language
from vlmforge.errors import CalibrationError
from vlmforge.images.layout import DYNAMIC, Layout
from vlmforge.progress import Progress
from vlmforge.source.checkpoint import Checkpoint
from vlmforge.stages.arithmetic import Arithmetic
from vlmforge.stages.draft import draft_answers
from vlmforge.tasks.here import HERE
from vlmforge.tasks.tasks import Tasks


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
        seed: chooses among the user's images, answers or windows of texts, or draws scenes.
        dtype: in which the original model answers, ``"float32"`` or ``"bfloat16"``; what
            :class:`Arithmetic` chooses if None.
        layout: the sizes of images.
        answers: ``"own"``, the model's; ``"draft"``, those of an integer program of it, rounded in
            haste; ``"none"``, prompts alone; or a file of answers, which names its images, too.

    Raises:
        CalibrationError: no samples, or no tokens, are asked for, or two things that exclude each
            other.
    """

    images: ImageSource = None
    text: TextCalibration | None = None
    num_samples: int = 100
    max_new_tokens: int = 500
    seed: int = 0
    dtype: str | None = None
    layout: Layout = DYNAMIC
    answers: AnswerSource = OWN

    def __post_init__(self) -> None:
        if self.num_samples < 1 or self.max_new_tokens < 1:
            raise CalibrationError(
                f"{self.num_samples} samples with answers of {self.max_new_tokens} tokens cannot "
                "be made",
                mend="give --num-samples and --max-new-tokens of 1 or more",
            )
        if self.answers != OWN and self.text is not None:
            raise CalibrationError(
                "texts have no answers", mend="leave out --answers, or the texts"
            )
        if self.answers_file is not None and self.images is not None:
            raise CalibrationError(
                "a file of answers names its images, and others are given",
                where=self.answers_file,
                mend="leave out --images, or the file of answers",
            )

    @property
    def answers_file(self) -> Path | None:
        """The file of answers, if there is one."""
        return answers_file(self.answers)


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
    images: Path | None,
    output_dir: Path,
    calibration: Calibration,
    device: str = "cpu",
    progress: Progress | None = None,
    kept: KeptAnswers | None = None,
    tasks: Tasks = HERE,
) -> Path:
    """Language samples, in the arithmetic asked for or what :class:`Arithmetic` chooses.

    Args:
        checkpoint: of the original model.
        images: a directory of them; None where a file of answers names them.
        output_dir: of all calibration data.
        calibration: how many samples, and of what.
        device: ``"cpu"`` or ``"gpu"``.
        progress: is told of every sample.
        kept: where answers are kept for a calibration that is interrupted; it deletes none.
        tasks: who answers.

    Raises:
        CalibrationError, SourceError: as :func:`vlmforge.calibrate.record.record_language`.
    """
    way = Arithmetic.of(checkpoint, device, calibration.dtype)
    lengths, layout = (calibration.num_samples, calibration.max_new_tokens), calibration.layout
    answers: AnswerSource | WrittenAnswers = calibration.answers
    if answers == DRAFT and images is not None:
        place = output_dir.parent
        answers = draft_answers(
            checkpoint, images, place, *lengths, layout, device, way.dtype, progress, kept
        )
    return record_language(
        checkpoint, images, output_dir, *lengths, device, way.dtype, layout, progress,
        answers=answers, seed=calibration.seed, streamed=way.streamed, kept=kept, tasks=tasks,
    )  # fmt: skip
