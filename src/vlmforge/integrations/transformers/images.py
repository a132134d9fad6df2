"""The images and videos of a batch: which tokens stand for them, and which are still to be read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import numpy as np
import torch

from vlmforge.errors import RunError
from vlmforge.images.grid import Grid
from vlmforge.images.patches import COLORS, PatchLayout
from vlmforge.images.pictures import Pictures
from vlmforge.images.received import TILE_AXES, received
from vlmforge.images.visual import Patches
from vlmforge.prompt.encoder import Placeholders
from vlmforge.prompt.spans import IMAGE, VIDEO


class Modality(NamedTuple):
    """What is shown, and how transformers calls it.

    Attributes:
        kind: what ``mm_token_type_ids`` say of its tokens.
        pixels: float32 ``[patches, channels * temporal * patch²]`` of all.
        grids: int64 ``[images, 3]``: frames, rows and columns of patches.
        seconds: float32 ``[images]``: from a slice to the next; only videos have them.
    """

    kind: int
    pixels: str
    grids: str
    seconds: str | None = None


MODALITIES: Final = (
    Modality(IMAGE, "pixel_values", "image_grid_thw"),
    Modality(VIDEO, "pixel_values_videos", "video_grid_thw", "second_per_grid_ts"),
)


def as_patches(values: dict[str, Any], modality: Modality, layout: PatchLayout) -> dict[str, Any]:
    """The values of a modality with tiles, if they are such, as patches with a grid of each.

    Args:
        values: pixels, of tiles float32 ``[tiles, 3, height, width]`` or with the number of
            sequences before that, and perhaps grids.
        modality: whose names they have.
        layout: divides them.
    """
    pixels = values.get(modality.pixels)
    if pixels is None or pixels.ndim not in TILE_AXES:
        return values
    colors, height, width = pixels.shape[-3:]
    if height % layout.side or width % layout.side or colors != COLORS:
        raise RunError(
            f"{modality.pixels} is {list(pixels.shape)}, which the vision program cannot read",
            mend="use AutoProcessor.from_pretrained(PACKAGE)",
        )
    tiles = received(pixels.float().cpu().numpy(), None, layout)
    patches = torch.from_numpy(np.concatenate([tile.patches for tile in tiles]))
    grids = torch.tensor([tile.grid.patches(layout.merge_size) for tile in tiles])
    return {**values, modality.pixels: patches, modality.grids: grids}


def visuals(
    pixels: torch.Tensor,
    grids: torch.Tensor | None,
    pictures: Pictures,
    name: str,
    paces: Sequence[float] | None = None,
) -> list[Patches]:
    """The images or videos of what a processor gives.

    Args:
        pixels, grids: see :class:`Modality`.
        pictures: those that the vision program reads.
        name: of the grids.
        paces: of videos, by default 1.

    Raises:
        RunError: the grids are missing, not those of the pixels, or not possible.
    """
    given = [] if grids is None else grids.tolist()
    found = [Grid.of_patches(grid, pictures.layout.merge_size) for grid in given]
    if paces is not None:
        found = [grid._replace(pace=pace) for grid, pace in zip(found, paces, strict=False)]
    sizes = [int(np.prod(grid)) for grid in given]
    complete = tuple(pixels.shape) == (sum(sizes), pictures.layout.patch_values)
    if why := _refusal(given, complete, found, pictures):
        raise RunError(
            f"{name} is {given or None}, which the vision program cannot read: {why}",
            mend="use AutoProcessor.from_pretrained(PACKAGE)",
        )
    patches = np.split(pixels.float().cpu().numpy(), np.cumsum(sizes)[:-1])
    return [Patches(part, grid) for part, grid in zip(patches, found, strict=True)]


def _refusal(
    given: list[list[int]], complete: bool, grids: list[Grid], pictures: Pictures
) -> str | None:
    merge = pictures.layout.merge_size
    if not given or not complete:
        return "the pixels are of other grids"
    for own, grid in zip(given, grids, strict=True):
        if min(own) < 1 or list(grid.patches(merge)) != own:
            return f"rows and columns are multiples of {merge}"
    return next(filter(None, map(pictures.refusal, grids)), None)


def type_ids(
    input_ids: torch.Tensor, types: torch.Tensor | None, placeholders: Placeholders
) -> torch.Tensor:
    """``mm_token_type_ids`` as long as the tokens, int64 ``[batch, seq]``.

    Tokens beyond those that the given ones tell of are guesses, which stand for nothing shown.
    """
    if types is None:
        return torch.from_numpy(placeholders.types(input_ids.cpu().numpy())).long()
    missing = input_ids.shape[1] - types.shape[1]
    return torch.nn.functional.pad(types, (0, max(missing, 0)))[:, : input_ids.shape[1]]


class Shown:
    """The images, or the videos, that the sequences of a batch have, one sequence after another.

    Args:
        modality: which of both.
        values: its pixels and grids by their names.
        types: int64 ``[batch, seq]``, ``mm_token_type_ids``.
        merge_size: side of a cell, in patches.
    """

    def __init__(
        self, modality: Modality, values: dict[str, Any], types: torch.Tensor, merge_size: int
    ) -> None:
        self._modality, self._values = modality, values
        grids = values[modality.grids].tolist()
        self._tokens = [Grid.of_patches(grid, merge_size).tokens for grid in grids]
        self._spans: list[range] = []
        at = 0
        for row in types:
            stop = at + self._count(range(at, len(grids)), row, whole=False)
            self._spans.append(range(at, stop))
            at = stop

    def repeated(self, times: int) -> dict[str, Any]:
        """The values when each sequence is repeated in place."""
        return self._of([index for span in self._spans for _ in range(times) for index in span])

    def remaining(self, types: torch.Tensor) -> dict[str, Any]:
        """The values without those that tokens of the given types, already read, stand for."""
        rows = zip(self._spans, types, strict=True)
        return self._of([i for span, row in rows for i in span[self._count(span, row) :]])

    def _count(self, span: range, types: torch.Tensor, whole: bool = True) -> int:
        """How many of a span the tokens of a sequence stand for; the last perhaps in part."""
        left, count = int((types == self._modality.kind).sum()), 0
        for index in span:
            if left < (self._tokens[index] if whole else 1):
                break
            left, count = left - self._tokens[index], count + 1
        return count

    def _of(self, order: list[int]) -> dict[str, Any]:
        """The values of the images of these indexes; empty for none."""
        if not order:
            return {}
        grids = self._values[self._modality.grids]
        parts = self._values[self._modality.pixels].split(grids.prod(-1).tolist())
        chosen = torch.cat([parts[index] for index in order])
        seconds = self._modality.seconds
        timed = {seconds: self._values[seconds][order]} if seconds in self._values else {}
        return {self._modality.pixels: chosen, self._modality.grids: grids[order], **timed}


def popped(kwargs: dict[str, Any], modality: Modality) -> dict[str, Any]:
    """What is shown among the arguments of a model, taken out; empty if there is nothing."""
    values = {name: kwargs.pop(name, None) for name in (modality.pixels, modality.grids)}
    if modality.seconds and (seconds := kwargs.pop(modality.seconds, None)) is not None:
        values[modality.seconds] = torch.as_tensor(seconds)
    return {} if any(value is None for value in values.values()) else values
