"""Volume: how much a sample of a calibration holds."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import fmean

from vlmforge.calibrate.answers import NONE
from vlmforge.calibrate.drawing import drawn_size
from vlmforge.calibrate.given import read_given
from vlmforge.capture.text import deepstack_inputs
from vlmforge.images.pictures import Pictures
from vlmforge.images.reading import read_image
from vlmforge.source.checkpoint import EMBEDDING, Checkpoint
from vlmforge.source.pictures import pictures_for
from vlmforge.stages.calibration import Calibration, require_calibration

FLOAT32 = 4
QUESTION_TOKENS = 64
"""Roughly what a calibration prompt has beside its image."""

ANSWER_TOKENS = 128
"""Roughly the length of an answer, where longer ones are allowed."""


@dataclass(frozen=True)
class Volume:
    """What a sample holds, on average over all.

    Attributes:
        prompt: tokens before the answer; none where texts calibrate.
        longest: those of the longest prompt.
        tokens: with the answer.
        patches: of the image.
        first: those of the first sample's image, on which an encoder is checked.
        largest: those of the largest image.
        pairs: of patches of the image, each with all.
        language, vision: bytes of the files of the components' samples.
    """

    prompt: float
    longest: float
    tokens: float
    patches: float
    first: float
    largest: float
    pairs: float
    language: float
    vision: float

    @property
    def nbytes(self) -> float:
        """Of all files."""
        return self.language + self.vision

    @staticmethod
    def of(checkpoint: Checkpoint, calibration: Calibration) -> Volume:
        """The volume of a sample of each component of the model.

        Raises:
            CalibrationError: the model is calibrated with something else, or answers are malformed.
            ImageError: an image of a file of answers cannot be read.
            SourceError: the layout leaves no size of images.
        """
        require_calibration(checkpoint, calibration.text)
        _, hidden = checkpoint.shape(EMBEDDING)
        if calibration.text is not None:
            length = calibration.text.length
            return Volume(0, 0, length, 0, 0, 0, 0, length * hidden * FLOAT32, 0)
        pictures = pictures_for(checkpoint, calibration.layout)
        layout = pictures.layout
        grids = [pictures.grid(*size) for size in _sizes(calibration, pictures)]
        shown, most = (choose(grid.tokens for grid in grids) for choose in (fmean, max))
        allowed = 0 if calibration.answers == NONE else calibration.max_new_tokens
        written = min(allowed, ANSWER_TOKENS)
        tokens = QUESTION_TOKENS + shown + written
        slices = fmean(grid.tokens / grid.frames for grid in grids)
        image = slices * layout.cell_patches * (layout.patch_values + _positions(checkpoint))
        prompt, longest = QUESTION_TOKENS + shown, QUESTION_TOKENS + most
        patches, largest = shown * layout.cell_patches, most * layout.cell_patches
        first = grids[0].tokens / grids[0].frames * layout.cell_patches
        pairs = fmean((grid.tokens * layout.cell_patches) ** 2 / grid.frames for grid in grids)
        rows = tokens * (1 + len(deepstack_inputs(checkpoint)))
        files = FLOAT32 * rows * hidden, FLOAT32 * image
        return Volume(prompt, longest, tokens, patches, first, largest, pairs, *files)


def _positions(checkpoint: Checkpoint) -> int:
    """Values of a patch that tell a tower with learned positions where it lies."""
    tower = checkpoint.family.tower
    sizes = None if tower is None else tower.sizes(checkpoint.settings)
    return sizes.embed if sizes is not None and sizes.positions and sizes.tile is None else 0


def _sizes(calibration: Calibration, pictures: Pictures) -> list[tuple[int, int]]:
    """About the height and width of the images that are shown."""
    if (file := calibration.answers_file) is None:
        return [drawn_size(index, pictures) for index in range(calibration.num_samples)]
    images = (read_image(each.image) for each in read_given(file))
    return [(image.height, image.width) for image in images]
