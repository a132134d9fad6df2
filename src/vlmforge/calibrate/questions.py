"""Questions: what the original model is asked about which images."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from PIL import Image

from vlmforge.calibrate.drawing import drawn
from vlmforge.calibrate.given import Given, chosen, read_given
from vlmforge.calibrate.images import find_images, readable
from vlmforge.calibrate.prompts import PromptKind, prompt_for
from vlmforge.errors import CalibrationError
from vlmforge.formats.kinds import IMAGES_RECORD
from vlmforge.images.pictures import Pictures


@dataclass(frozen=True)
class Question:
    """One image and what is asked about it.

    Attributes:
        index: of the sample.
        file: name of the image file.
        image: upright RGB, at the size it is shown at.
        prompt: the question.
        answer: what answers it, where that is given.
    """

    index: int
    file: str
    image: Image.Image
    prompt: PromptKind
    answer: str | None = None

    @property
    def facts(self) -> dict[str, Any]:
        """What the metadata tells of the sample."""
        size = [self.image.height, self.image.width]
        told = {"kind": self.prompt.name, "prompt": self.prompt.text, "image": self.file}
        return {**told, "size": size}


class Questions(Protocol):
    """All that is asked."""

    @property
    def count(self) -> int:
        """How many there are at most."""

    @property
    def source(self) -> str:
        """Where the images come from, for the metadata."""

    def shown(self, pictures: Pictures) -> Iterator[Question]:
        """Each in its order, at the sizes it is shown at; raises :class:`CalibrationError`."""


@dataclass(frozen=True)
class ImageQuestions:
    """Prompts of our own about the images of a directory.

    Sample i is image i of n and prompt i of 20; each further round shifts the prompts by one.
    Images that keep their sizes are shown at sizes drawn between the bounds.

    Attributes:
        directory: of the images.
        files: the images.
        count: see :class:`Questions`.
    """

    directory: Path
    files: Sequence[Path]
    count: int

    @staticmethod
    def find(directory: Path | str, asked: int | None = None) -> ImageQuestions:
        """So many questions, or one an image; raises :class:`CalibrationError`."""
        _require_asked(asked)
        files = find_images(directory)
        return ImageQuestions(Path(directory), files, asked or len(files))

    @property
    def source(self) -> str:
        """``"coco"``, ``"scenes"`` or ``"directory"``, as recorded when they were collected."""
        try:
            record = json.loads((self.directory / IMAGES_RECORD).read_text("utf-8"))
            return str(record["source"])
        except (OSError, ValueError, KeyError, TypeError):
            return "directory"

    def shown(self, pictures: Pictures) -> Iterator[Question]:
        """See :class:`Questions`."""
        asked = 0
        for index in range(self.count):
            around, which = divmod(index, len(self.files))
            for path, image in readable([self.files[which]]):
                prompt = prompt_for(index + around)
                yield Question(index, path.name, drawn(image, index, pictures), prompt)
                asked += 1
        if not asked:
            raise CalibrationError(
                "no image can be read",
                where=self.directory,
                mend="name a directory of images with --images; `vlmforge images` makes one",
            )


@dataclass(frozen=True)
class GivenQuestions:
    """The lines of a file of answers; images keep the sizes they have, within the bounds.

    Attributes:
        lines: those that are asked.
    """

    lines: Sequence[Given]
    source = "given"

    @staticmethod
    def read(file: Path | str, asked: int | None = None, seed: int = 0) -> GivenQuestions:
        """At most so many lines of a file; raises :class:`CalibrationError`."""
        _require_asked(asked)
        return GivenQuestions(chosen(read_given(file), asked, seed))

    @property
    def count(self) -> int:
        """See :class:`Questions`."""
        return len(self.lines)

    def shown(self, pictures: Pictures) -> Iterator[Question]:
        """See :class:`Questions`."""
        for index, each in enumerate(self.lines):
            for path, image in readable([each.image]):
                prompt = PromptKind("given", each.question)
                yield Question(index, path.name, image, prompt, each.answer)


def _require_asked(count: int | None) -> None:
    if count is not None and count < 1:
        raise CalibrationError("no samples are asked for", mend="give --num-samples 1 or more")
