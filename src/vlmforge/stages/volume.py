"""Volume: how much a sample of a calibration holds."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import fmean

from vlmforge.calibrate.drawing import drawn_pixels
from vlmforge.images.patches import COLORS
from vlmforge.source.checkpoint import EMBEDDING, Checkpoint
from vlmforge.source.pictures import pictures_for
from vlmforge.stages.calibration import Calibration, require_calibration

FLOAT32 = 4
QUESTION_TOKENS = 64
"""Roughly what a calibration prompt has beside its image."""


@dataclass(frozen=True)
class Volume:
    """What a sample holds, on average over all.

    Attributes:
        prompt: tokens before the answer; none where texts calibrate.
        tokens: with the longest answer.
        patches: of the image.
        nbytes: of the file.
    """

    prompt: float
    tokens: float
    patches: float
    nbytes: float

    @staticmethod
    def of(checkpoint: Checkpoint, calibration: Calibration) -> Volume:
        """The volume of a sample of each component of the model.

        Raises:
            CalibrationError: the model is calibrated with something else.
            SourceError: the layout leaves no size of images.
        """
        require_calibration(checkpoint, calibration.text)
        _, hidden = checkpoint.shape(EMBEDDING)
        if calibration.text is not None:
            length = calibration.text.length
            return Volume(0, length, 0, length * hidden * FLOAT32)
        pictures = pictures_for(checkpoint, calibration.layout)
        layout, indices = pictures.layout, range(calibration.num_samples)
        pixels = fmean(drawn_pixels(index, pictures) for index in indices)
        prompt = QUESTION_TOKENS + pixels / layout.side**2
        tokens = prompt + calibration.max_new_tokens
        image = pixels * COLORS * layout.temporal_patch_size
        nbytes = FLOAT32 * (tokens * hidden + image)
        return Volume(prompt, tokens, pixels / layout.patch_size**2, nbytes)
