"""Cuts: how an image becomes rows and columns of tiles."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, Protocol

from vlmforge.errors import ImageError
from vlmforge.formats.settings import ProcessorSettings

Size = tuple[int, int]
"""Height and width in pixels, or rows and columns."""


class Cut(Protocol):
    """A kind of cuts. Tiles are of one size, ``tile``, the height and width in pixels."""

    @property
    def most(self) -> int:
        """Tiles that an image is cut into, the tile of the whole not counted."""
        ...

    @property
    def of_stretched(self) -> bool:
        """Whether the tile of the whole is made of the image as it was cut, and not as it was."""
        ...

    def sizes(self, image: Size, tile: Size) -> list[Size]:
        """What an image of this height and width is resized to, one after the other.

        The last is that of the tiles together; raises :class:`ImageError` for one without pixels.
        """
        ...

    def largest(self, tile: Size) -> Size:
        """Height and width of an image that becomes the most tiles, as square as it can be."""
        ...

    def labels(self, rows: int, columns: int) -> tuple[str, ...]:
        """The text before each tile and behind the last, where a prompt has any."""
        ...

    def bounded(self, most: int) -> Cut:
        """The same with fewer tiles; at least one."""
        ...

    @property
    def asked(self) -> dict[str, Any]:
        """What transformers' image processor is asked for, to cut in the same way."""
        ...

    def facts(self) -> dict[str, Any]:
        """What a vision program's ``meta`` says of it, for :func:`cut_of`."""
        ...


@dataclass(frozen=True)
class NearestShape:
    """As many rows and columns as fit the shape of the image, which is stretched.

    As transformers' ``GotOcr2ImageProcessorPil`` cuts for InternVL (arXiv 2404.16821, section 3.2).

    Attributes:
        least, most: tiles that an image is cut into.
    """

    least: int = 1
    most: int = 12
    of_stretched = False

    @staticmethod
    def of(settings: ProcessorSettings) -> NearestShape:
        """That of a processor; ImageError if it leaves no number of tiles."""
        if settings.min_patches > settings.max_patches:
            what = f"at least {settings.min_patches} and at most {settings.max_patches} tiles"
            raise ImageError(f"{what} are none", mend="correct min_patches and max_patches")
        return NearestShape(settings.min_patches, settings.max_patches)

    def sizes(self, image: Size, tile: Size) -> list[Size]:
        """See :class:`Cut`.

        Of several shapes that are equally near, the one with more tiles, as long as the image has
        more than half of their pixels.
        """
        (height, width), best, nearest = _real(image), (1, 1), float("inf")
        for columns, rows in self._arrangements():
            distance = abs(width / height - columns / rows)
            filled = height * width > 0.5 * tile[0] * tile[1] * columns * rows
            if distance < nearest or (distance == nearest and filled):
                best, nearest = (rows, columns), distance
        return [(best[0] * tile[0], best[1] * tile[1])]

    def largest(self, tile: Size) -> Size:
        """See :class:`Cut`."""
        most = max(columns * rows for columns, rows in self._arrangements())
        whole = [(rows, c) for c, rows in self._arrangements() if c * rows == most]
        rows, columns = min(whole, key=lambda sides: abs(sides[0] - sides[1]))
        return rows * tile[0], columns * tile[1]

    def labels(self, rows: int, columns: int) -> tuple[str, ...]:
        """See :class:`Cut`."""
        return ()

    def bounded(self, most: int) -> NearestShape:
        """See :class:`Cut`."""
        most = max(1, min(self.most, most))
        return replace(self, least=min(self.least, most), most=most)

    @property
    def asked(self) -> dict[str, Any]:
        """See :class:`Cut`."""
        return {"crop_to_patches": True, "min_patches": self.least, "max_patches": self.most}

    def facts(self) -> dict[str, Any]:
        """See :class:`Cut`."""
        return {"cut": "shape", "min_tiles": self.least, "max_tiles": self.most}

    def _arrangements(self) -> Iterator[Size]:
        """All columns and rows of as many tiles as are allowed, the fewest tiles first."""
        found = [
            (columns, rows)
            for columns in range(1, self.most + 1)
            for rows in range(math.ceil(self.least / columns), self.most // columns + 1)
        ]
        yield from sorted(found, key=lambda sides: sides[0] * sides[1])


LARGEST = 4096
"""Most pixels of a side, whatever the settings say."""

AROUND, WHOLE = "<fake_token_around_image>", "<global-img>"
"""What a prompt has around each tile, and before that of the whole."""


@dataclass(frozen=True)
class LongestEdge:
    """The longer side gets a length, and both are stretched to whole tiles.

    As transformers' ``SmolVLMImageProcessorPil`` and ``Idefics3ImageProcessorPil`` cut images
    (arXiv 2408.12637, section 3.1).

    Attributes:
        edge: of the longer side, in pixels; None where images keep their size.
        split: whether there are tiles beside that of the whole.
    """

    edge: int | None = 1456
    split: bool = True
    tile: int = 364
    of_stretched = True

    @staticmethod
    def of(settings: ProcessorSettings) -> LongestEdge:
        """That of a processor."""
        edge = settings.size.longest_edge if settings.do_resize else None
        return LongestEdge(edge, settings.do_image_splitting, settings.max_image_size.longest_edge)

    @property
    def most(self) -> int:
        """See :class:`Cut`."""
        return math.ceil(min(self.edge or LARGEST, LARGEST) / self.tile) ** 2 if self.split else 1

    def sizes(self, image: Size, tile: Size) -> list[Size]:
        """See :class:`Cut`."""
        size, found = _real(image), list[Size]()
        if self.edge is not None:
            size = _below(_even(size, self.edge))
            found.append(size)
        return [*found, _whole(size, tile[0]) if self.split else tile]

    def largest(self, tile: Size) -> Size:
        """See :class:`Cut`."""
        side = math.isqrt(self.most) * tile[0]
        return side, side

    def labels(self, rows: int, columns: int) -> tuple[str, ...]:
        """See :class:`Cut`."""
        if rows * columns == 1:
            return f"{AROUND}{WHOLE}", AROUND
        places = [(row, column) for row in range(rows) for column in range(columns)]
        before = [
            "\n" * (row > 0 and column == 0) + f"{AROUND}<row_{row + 1}_col_{column + 1}>"
            for row, column in places
        ]
        return (*before, f"\n\n{AROUND}{WHOLE}", AROUND)

    def bounded(self, most: int) -> LongestEdge:
        """See :class:`Cut`."""
        edge = max(1, math.isqrt(most)) * self.tile
        return replace(self, edge=min(self.edge or LARGEST, edge))

    @property
    def asked(self) -> dict[str, Any]:
        """See :class:`Cut`."""
        asked = {"do_image_splitting": self.split, "do_resize": self.edge is not None}
        return asked if self.edge is None else {**asked, "size": {"longest_edge": self.edge}}

    def facts(self) -> dict[str, Any]:
        """See :class:`Cut`."""
        return {"cut": "edge", "longest_edge": self.edge, "split": self.split}


def _real(image: Size) -> Size:
    height, width = image
    if height < 1 or width < 1:
        raise ImageError(f"an image of {height} x {width} pixels has none", mend="give another")
    return image


def _even(size: Size, edge: int) -> Size:
    """The size whose longer side is ``edge``, and the shorter an even number."""
    height, width = size
    ratio = width / height
    if width >= height:
        other = int(edge / ratio)
        return max(other + other % 2, 1), edge
    other = int(edge * ratio)
    return edge, max(other + other % 2, 1)


def _below(size: Size) -> Size:
    """The size with sides of at most :data:`LARGEST`."""
    height, width = size
    ratio = width / height
    if width >= height and width > LARGEST:
        height, width = int(LARGEST / ratio), LARGEST
    elif height > width and height > LARGEST:
        height, width = LARGEST, int(LARGEST * ratio)
    return max(height, 1), max(width, 1)


def _whole(size: Size, side: int) -> Size:
    """The size of whole tiles, the longer side first."""
    height, width = size
    ratio = width / height
    if width >= height:
        width = math.ceil(width / side) * side
        return math.ceil(int(width / ratio) / side) * side, width
    height = math.ceil(height / side) * side
    return height, math.ceil(int(height * ratio) / side) * side


CUTS: Final[dict[str, type[NearestShape] | type[LongestEdge]]] = {
    "shape": NearestShape,
    "edge": LongestEdge,
}
"""The kinds by the names that vision programs give them."""


def cut_of(meta: Mapping[str, Any], settings: ProcessorSettings) -> Cut:
    """The cut of a vision program, within the bounds of a processor's settings."""
    if meta["cut"] == "edge":
        compiled = LongestEdge(meta["longest_edge"], meta["split"], meta["tile"][0])
        own = settings.size.longest_edge
        edges = [edge for edge in (compiled.edge, own) if edge is not None]
        return replace(compiled, edge=min(edges, default=None))
    least, most = meta["min_tiles"], meta["max_tiles"]
    most = max(1, min(most, settings.max_patches))
    return NearestShape(min(max(least, settings.min_patches), most), most)
