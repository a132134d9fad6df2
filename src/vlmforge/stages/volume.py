"""Volume: how much a sample of a calibration holds."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import fmean

from vlmforge.calibrate.drawing import drawn_size
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
        grids = [pictures.grid(*drawn_size(index, pictures)) for index in indices]
        shown = fmean(grid.tokens for grid in grids)
        tokens = QUESTION_TOKENS + shown + calibration.max_new_tokens
        slices = fmean(grid.tokens / grid.frames for grid in grids)
        image = slices * layout.cell_patches * layout.patch_values
        nbytes = FLOAT32 * (tokens * hidden + image)
        return Volume(QUESTION_TOKENS + shown, tokens, shown * layout.cell_patches, nbytes)
