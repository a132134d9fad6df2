"""The kind of pictures that a model is compiled for."""

from __future__ import annotations

from PIL import Image

from vlmforge.errors import SourceError
from vlmforge.formats.document import validate
from vlmforge.formats.package import PROCESSOR_FILE
from vlmforge.formats.settings import ProcessorSettings
from vlmforge.images.cuts import CUTS
from vlmforge.images.layout import MOST_CELLS, Layout
from vlmforge.images.patches import PatchLayout
from vlmforge.images.pictures import FixedSize, NativeResolution, Pictures, longest_side
from vlmforge.images.tiles import Tiles
from vlmforge.source.checkpoint import Checkpoint
from vlmforge.source.processor import image_settings


def pictures_for(checkpoint: Checkpoint, layout: Layout) -> Pictures:
    """The pictures of a layout, in the patches of a model that sees.

    Raises:
        SourceError: they cannot be divided into whole groups of patches, the bounds leave no size,
            or the model's image processor cannot be read.
    """
    tower = checkpoint.family.tower
    assert tower is not None, "the model sees"
    sizes = tower.sizes(checkpoint.settings)
    patches = PatchLayout(sizes.patch, sizes.merge, sizes.frames, sizes.window)
    if sizes.tile is not None:
        tiles = _tiles(checkpoint, patches, sizes.tile, class_token=tower.class_token is not None)
        return _bounded(checkpoint, tiles, layout)
    if layout.image_size is not None:
        return _fixed(patches, *layout.image_size)
    return _native(checkpoint, patches, layout.max_pixels)


def _fixed(patches: PatchLayout, height: int, width: int) -> FixedSize:
    side = patches.side
    if any(length < side or length % side for length in (height, width)):
        raise SourceError(
            f"images of {height} × {width} are no whole groups of {side} × {side} pixels",
            mend=f"choose a height and a width that are multiples of {side}",
        )
    return FixedSize(patches, height, width)


def _tiles(
    checkpoint: Checkpoint, patches: PatchLayout, tile: tuple[int, int], *, class_token: bool
) -> Tiles:
    settings = _settings(checkpoint)
    cut = CUTS[checkpoint.family.processor.cut].of(settings)
    return Tiles(patches, *tile, cut, class_token, Image.Resampling(settings.resample))


def _bounded(checkpoint: Checkpoint, tiles: Tiles, layout: Layout) -> Tiles:
    """The tiles of a layout."""
    side = f"{tiles.height} × {tiles.width} pixels"
    if layout.image_size is not None:
        raise SourceError(
            f"the model cuts images into tiles of {side}, and has no layout of one size",
            where=checkpoint.path,
            mend="choose --layout dynamic; --max-pixels bounds the tiles of an image",
        )
    if layout.max_pixels is not None and layout.max_pixels < tiles.height * tiles.width:
        raise SourceError(
            f"the model cuts images into tiles of {side}, and {layout.max_pixels} pixels are none",
            where=checkpoint.path,
            mend=f"choose --max-pixels of {tiles.height * tiles.width} or more",
        )
    return tiles.bounded(None, layout.max_pixels)


def _settings(checkpoint: Checkpoint) -> ProcessorSettings:
    found = image_settings(checkpoint.path, checkpoint.family.processor)
    return validate(ProcessorSettings, found, checkpoint.path / PROCESSOR_FILE)


def _native(
    checkpoint: Checkpoint, patches: PatchLayout, max_pixels: int | None
) -> NativeResolution:
    settings = _settings(checkpoint)
    cell = patches.side**2
    least = max(settings.least_pixels or cell, cell)
    most = settings.most_pixels or MOST_CELLS * cell
    most = min(most, MOST_CELLS * cell if max_pixels is None else max_pixels)
    if most < least:
        raise SourceError(
            f"images of at least {least} and at most {most} pixels leave no size",
            where=checkpoint.path,
            mend=f"choose --max-pixels of {least} or more",
        )
    longest = longest_side(most, patches.side) // patches.patch_size
    resample = Image.Resampling(settings.resample)
    return NativeResolution(patches, least, most, longest, resample, settings.do_resize)
