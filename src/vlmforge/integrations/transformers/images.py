"""The images of a batch: which tokens stand for them, and which of them are still to be read."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from vlmforge.errors import RunError
from vlmforge.images.grid import Grid
from vlmforge.images.pictures import Pictures
from vlmforge.images.visual import Patches

IMAGE = 1
"""What ``mm_token_type_ids`` say of a token that stands for a part of an image."""


def visuals(
    pixel_values: torch.Tensor, grids: torch.Tensor | None, pictures: Pictures
) -> list[Patches]:
    """The images of a processor's ``pixel_values`` and ``image_grid_thw``.

    Raises:
        RunError: the grids are missing, not those of the pixels, or not possible.
    """
    given = [] if grids is None else grids.tolist()
    found = [Grid.of_patches(grid, pictures.layout.merge_size) for grid in given]
    sizes = [int(np.prod(grid)) for grid in given]
    if why := _refusal(given, sum(sizes) == len(pixel_values), found, pictures):
        raise RunError(
            f"image_grid_thw is {given or None}, which the vision program cannot read: {why}",
            mend="use AutoProcessor.from_pretrained(PACKAGE)",
        )
    patches = np.split(pixel_values.float().cpu().numpy(), np.cumsum(sizes)[:-1])
    return [Patches(part, grid) for part, grid in zip(patches, found, strict=True)]


def _refusal(
    given: list[list[int]], complete: bool, grids: list[Grid], pictures: Pictures
) -> str | None:
    merge = pictures.layout.merge_size
    if not given or not complete:
        return "the pixels are of other grids"
    if any(list(grid.patches(merge)) != own for grid, own in zip(grids, given, strict=True)):
        return f"rows and columns are multiples of {merge}"
    return next(filter(None, map(pictures.refusal, grids)), None)


def type_ids(input_ids: torch.Tensor, types: torch.Tensor | None, token: int) -> torch.Tensor:
    """``mm_token_type_ids`` as long as the tokens, int64 ``[batch, seq]``.

    Tokens beyond those that the given ones tell of are guesses, which stand for no images.
    """
    if types is None:
        return (input_ids == token).long() * IMAGE
    missing = input_ids.shape[1] - types.shape[1]
    return torch.nn.functional.pad(types, (0, max(missing, 0)))[:, : input_ids.shape[1]]


def select_images(images: dict[str, Any], order: list[int]) -> dict[str, Any]:
    """``pixel_values`` and ``image_grid_thw`` of the images of these indexes; empty for none."""
    pixels, grids = images["pixel_values"], images["image_grid_thw"]
    if not order:
        return {}
    chosen = pixels.reshape(len(grids), -1, pixels.shape[-1])[order].flatten(0, 1)
    return {"pixel_values": chosen, "image_grid_thw": grids[order]}


def repeated(counts: list[int], times: int) -> list[int]:
    """Indexes of images when each sequence, with its count of them, is repeated in place."""
    return [index for span in _spans(counts) for _ in range(times) for index in span]


def remaining(counts: list[int], held: list[int]) -> list[int]:
    """Indexes of images when each sequence, with its count of them, has read the first ones."""
    return [index for span, n in zip(_spans(counts), held, strict=True) for index in span[n:]]


def _spans(counts: list[int]) -> list[range]:
    ends = np.cumsum(counts).tolist()
    return [range(end - count, end) for end, count in zip(ends, counts, strict=True)]
