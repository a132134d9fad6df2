"""Kinds of pictures: the size an image has when it is divided into patches."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol

from PIL import Image

from vlmforge.errors import ImageError
from vlmforge.formats.settings import ProcessorSettings
from vlmforge.images.grid import Grid
from vlmforge.images.patches import PatchLayout
from vlmforge.images.tiles import TILES, Tiles

USED = 0.9
"""The part of the tokens there are that the frames of a video may have."""

LONGEST = 200
"""Times as long as wide an image may be, as in Hugging Face's ``smart_resize``."""


class Pictures(Protocol):
    """A kind of pictures."""

    @property
    def layout(self) -> PatchLayout:
        """Divides them."""
        ...

    @property
    def resample(self) -> Image.Resampling:
        """How images are resampled."""
        ...

    def size(self, height: int, width: int) -> tuple[int, int]:
        """Height and width in pixels that an image of this height and width gets.

        Raises:
            ImageError: it cannot get any.
        """
        ...

    def grid(self, height: int, width: int) -> Grid:
        """The grid that an image of this height and width gets; raises :class:`ImageError`."""
        ...

    @property
    def largest(self) -> tuple[int, int]:
        """Height and width of an image that gets the most tokens, as square as it can be."""
        ...

    def frames(self, image: Image.Image) -> list[Image.Image]:
        """What of an image in RGB is divided into patches, all of one size."""
        ...

    def labels(self, image: Image.Image) -> tuple[str, ...]:
        """See :class:`Frames`, of an image in RGB."""
        ...

    def given(self, image: Image.Image) -> Image.Image:
        """An image in RGB as transformers' processor is given it."""
        ...

    @property
    def asked(self) -> dict[str, Any]:
        """What transformers' processor is asked for beside it, to give the same pixels."""
        ...

    def refusal(self, grid: Grid) -> str | None:
        """Why a vision program for these pictures cannot read a grid; None if it can."""
        ...

    def facts(self) -> dict[str, Any]:
        """What a vision program's ``meta`` says of them, for :func:`pictures_of`."""
        ...

    def bounded(self, min_pixels: int | None, max_pixels: int | None) -> Pictures:
        """The same with narrower bounds, in pixels, where sizes have bounds."""
        ...

    def shared(self, tokens: int, frames: int) -> Pictures:
        """The same for a video of so many frames, which have so many tokens to share."""
        ...


class _Whole:
    """Pictures that are divided as they are once they have their size."""

    layout: PatchLayout
    resample: Image.Resampling

    def size(self, height: int, width: int) -> tuple[int, int]:
        raise NotImplementedError

    def grid(self, height: int, width: int) -> Grid:
        """See :class:`Pictures`."""
        return self.layout.grid(1, *self.size(height, width))

    def frames(self, image: Image.Image) -> list[Image.Image]:
        """See :class:`Pictures`."""
        return [self.given(image)]

    def labels(self, image: Image.Image) -> tuple[str, ...]:
        """See :class:`Pictures`."""
        return ()

    def given(self, image: Image.Image) -> Image.Image:
        """See :class:`Pictures`: at its size."""
        height, width = self.size(image.height, image.width)
        return image.resize((width, height), self.resample)

    @property
    def asked(self) -> dict[str, Any]:
        """See :class:`Pictures`: not to resize it again."""
        return {"do_resize": False}


@dataclass(frozen=True)
class FixedSize(_Whole):
    """Every image gets the one size that the vision program was compiled for, by Lanczos.

    Attributes:
        layout: divides it.
        height, width: in pixels.
    """

    layout: PatchLayout
    height: int
    width: int
    resample: Image.Resampling = Image.Resampling.LANCZOS

    @property
    def largest(self) -> tuple[int, int]:
        """See :class:`Pictures`."""
        return self.height, self.width

    def size(self, height: int, width: int) -> tuple[int, int]:
        """See :class:`Pictures`."""
        return self.height, self.width

    def refusal(self, grid: Grid) -> str | None:
        """See :class:`Pictures`."""
        compiled = self.layout.grid(1, self.height, self.width)
        if grid.area == compiled.area:
            return None
        return f"it was compiled for {self.height} x {self.width} pixels"

    def facts(self) -> dict[str, Any]:
        """See :class:`Pictures`."""
        return {"image_size": [self.height, self.width], **self.layout.facts()}

    def bounded(self, min_pixels: int | None, max_pixels: int | None) -> FixedSize:
        """See :class:`Pictures`."""
        return self

    def shared(self, tokens: int, frames: int) -> FixedSize:
        """See :class:`Pictures`."""
        return self


@dataclass(frozen=True)
class NativeResolution(_Whole):
    """An image keeps about its size and shape, within bounds.

    Attributes:
        layout: divides it; sides become multiples of a cell's.
        min_pixels, max_pixels: of an image.
        max_patches: most patches along a side, the length of the vision program's RoPE table.
        resample: the processor's.
        do_resize: whether images are resized at all; those that are not must fit.
    """

    layout: PatchLayout
    min_pixels: int
    max_pixels: int
    max_patches: int
    resample: Image.Resampling = Image.Resampling.BICUBIC
    do_resize: bool = True

    @staticmethod
    def of(meta: Mapping[str, Any], settings: ProcessorSettings) -> NativeResolution:
        """Arguments are those of :func:`pictures_of`, of a dynamic program."""
        least, most = meta["min_pixels"], meta["max_pixels"]
        return NativeResolution(
            PatchLayout.of(meta),
            max(least, settings.least_pixels or least),
            min(most, settings.most_pixels or most),
            meta["max_patches"],
            Image.Resampling(settings.resample),
            settings.do_resize,
        )

    @property
    def largest(self) -> tuple[int, int]:
        """See :class:`Pictures`."""
        side = math.isqrt(self.max_pixels) // self.layout.side * self.layout.side
        return side, side

    def size(self, height: int, width: int) -> tuple[int, int]:
        """See :class:`Pictures`."""
        side, found = self.layout.side, (height, width)
        if self.do_resize:
            found = smart_resize(height, width, side, self.min_pixels, self.max_pixels)
        elif height < 1 or width < 1 or height % side or width % side:
            raise ImageError(
                f"the image has {height} x {width} pixels, no multiples of {side}, and the "
                "processor's settings forbid to resize it",
                mend=f"give images whose sides are multiples of {side}, or set do_resize to true",
            )
        return self.require(found, height, width)

    def require(self, size: tuple[int, int], height: int, width: int) -> tuple[int, int]:
        """A size that an image of this height and width got, if it can be read.

        Raises:
            ImageError: a side is too long.
        """
        if why := self.refusal(self.layout.grid(1, *size)):
            raise ImageError(
                f"the vision program cannot read an image of {height} x {width} pixels: {why}",
                mend="cut the image, so that it is less long",
            )
        return size

    def refusal(self, grid: Grid) -> str | None:
        """See :class:`Pictures`."""
        longest = max(grid.rows, grid.columns) * self.layout.merge_size
        if longest <= self.max_patches:
            return None
        return f"a side has {longest} patches, at most {self.max_patches} are possible"

    def facts(self) -> dict[str, Any]:
        """See :class:`Pictures`."""
        return {
            "layout": "dynamic",
            "min_pixels": self.min_pixels,
            "max_pixels": self.max_pixels,
            "max_patches": self.max_patches,
            **self.layout.facts(),
        }

    def bounded(self, min_pixels: int | None, max_pixels: int | None) -> NativeResolution:
        """See :class:`Pictures`."""
        most = min(self.max_pixels, max_pixels or self.max_pixels)
        least = min(min_pixels or self.min_pixels, most)
        return replace(self, min_pixels=least, max_pixels=most)

    def shared(self, tokens: int, frames: int) -> NativeResolution:
        """See :class:`Pictures`; as Hugging Face's ``cap_pixels_per_frame`` has it."""
        pixels = int(tokens * self.layout.side**2 * USED)
        own = pixels * self.layout.temporal_patch_size // frames
        most = max(min(self.max_pixels, own), int(self.min_pixels * 1.05))
        return replace(self, max_pixels=most)


def pictures_of(meta: Mapping[str, Any], settings: ProcessorSettings) -> Pictures:
    """The kind of pictures of a vision program and a processor.

    Args:
        meta: ``Program.meta`` of the vision program: ``patch_size``, ``merge_size``,
            ``temporal_patch_size`` and, with ``layout`` ``"fixed"`` (or none), ``image_size``; with
            ``"dynamic"`` ``min_pixels``, ``max_pixels`` and ``max_patches``; with ``"tiles"``
            ``tile``, ``class_token``, and the facts of a :class:`Cut`.
        settings: of the processor; its bounds count within those of the program.
    """
    if meta.get("layout", "fixed") == "fixed":
        return FixedSize(PatchLayout.of(meta), *meta["image_size"])
    if meta["layout"] == TILES:
        return Tiles.of(meta, settings)
    return NativeResolution.of(meta, settings)


def longest_side(max_pixels: int, factor: int) -> int:
    """No side that :func:`smart_resize` gives is longer, in pixels.

    An image that fits as it is has another side of at least ``factor``; one that is made smaller or
    larger keeps its shape but for one ``factor``.
    """
    return max(max_pixels // factor, math.isqrt(LONGEST * max_pixels) + factor)


def smart_resize(
    height: int, width: int, factor: int, min_pixels: int, max_pixels: int
) -> tuple[int, int]:
    """Hugging Face's ``smart_resize``: the nearest multiples of ``factor`` within the bounds.

    Args:
        height, width: in pixels.
        factor: of which both become multiples.
        min_pixels, max_pixels: of the result; shapes far from a square may have more or fewer.

    Raises:
        ImageError: the image has no pixels, or is more than :data:`LONGEST` times as long as wide.
    """
    if height < 1 or width < 1:
        raise ImageError(f"an image of {height} x {width} pixels has none", mend="give another")
    if max(height, width) / min(height, width) > LONGEST:
        raise ImageError(
            f"the image has {height} x {width} pixels, one side more than {LONGEST} times as long "
            "as the other",
            mend="cut the image into shorter pieces",
        )
    rows, columns = round(height / factor) * factor, round(width / factor) * factor
    if rows * columns > max_pixels:
        beta = math.sqrt((height * width) / max_pixels)
        rows = max(factor, math.floor(height / beta / factor) * factor)
        columns = max(factor, math.floor(width / beta / factor) * factor)
    elif rows * columns < min_pixels:
        beta = math.sqrt(min_pixels / (height * width))
        rows = math.ceil(height * beta / factor) * factor
        columns = math.ceil(width * beta / factor) * factor
    return rows, columns
