"""Which pictures a package takes, by the options that say so."""

from __future__ import annotations

import re
from enum import Enum
from typing import TYPE_CHECKING, Annotated

import typer

from vlmforge.cli.combinations import refuse_beside

if TYPE_CHECKING:
    from vlmforge.images.layout import Layout


class LayoutKind(str, Enum):
    """Whether all images get one size."""

    DYNAMIC = "dynamic"
    FIXED = "fixed"


Kind = Annotated[LayoutKind, typer.Option("--layout", help="Images of any size, or of one.")]
ImageSize = Annotated[
    str, typer.Option(metavar="PIXELS", help="Side, or HEIGHTxWIDTH, of all in a fixed layout.")
]
MaxPixels = Annotated[
    int | None,
    typer.Option(min=1, help="Of an image in a dynamic layout; larger ones are made smaller."),
]
SIDE = "224"


def layout_of(
    context: typer.Context, kind: LayoutKind, image_size: str, max_pixels: int | None
) -> Layout:
    """The layout that options ask for.

    Raises:
        typer.BadParameter: one of them has no effect, or the size is none.
    """
    from vlmforge.images.layout import Layout

    if kind is LayoutKind.DYNAMIC:
        refuse_beside(context, "in a dynamic layout; add --layout fixed", "image_size")
        return Layout(max_pixels=max_pixels)
    refuse_beside(context, "in a fixed layout", "max_pixels")
    found = re.fullmatch(r"([0-9]{1,6})(?:[x×]([0-9]{1,6}))?", image_size)
    if found is None:
        raise typer.BadParameter(f"{image_size!r} is no size; write 224, or 224x336")
    height, width = int(found[1]), int(found[2] or found[1])
    return Layout((height, width))
