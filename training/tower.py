"""A batched forward pass of the vision towers, equal to that of transformers but faster."""

from __future__ import annotations

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional
from transformers import PreTrainedModel
from transformers.vision_utils import get_vision_interpolation_indices_and_weights

from training.family import MERGE, PATCH, Family, family_of
from training.views import Grid


def features(model: PreTrainedModel, images: list[Image.Image], grid: Grid) -> Tensor:
    """Return what a model sees of images of one size: float32 `[levels, images, tokens, hidden]`.

    Seen whole, an image has a `grid` of tokens. Level 0 is what stands in place of image tokens;
    for further ones see `encode`.
    """
    family = family_of(model)
    if family.tiles is None:
        return encode(model.model.visual, patches(images, family), grid)
    cut = [tile for image in images for tile in family.tiles.frames(image)]
    found = model.model.get_image_features(normalized(cut, family).permute(0, 3, 1, 2))
    return found.pooler_output.unflatten(0, (len(images), -1)).flatten(1, 2)[None]


def normalized(images: list[Image.Image], family: Family) -> Tensor:
    """Return the pixels of images of one size: float32 `[images, height, width, 3]`."""
    pixels = torch.from_numpy(np.stack([np.asarray(image) for image in images])).float() / 255
    return (pixels - torch.tensor(family.mean)) / torch.tensor(family.std)


def patches(images: list[Image.Image], family: Family) -> Tensor:
    """Normalize images of one size and cut them: float32 `[images, patches, 588]`, merged order.

    Their sides are multiples of 28 pixels.
    """
    pixels = normalized(images, family)
    blocks = pixels.unflatten(2, (-1, MERGE, PATCH)).unflatten(1, (-1, MERGE, PATCH))
    return blocks.permute(0, 1, 4, 2, 5, 7, 3, 6).flatten(5).flatten(1, 4)


def positions(grid: Grid) -> Tensor:
    """Return the row and column of each patch in merged order: int64 `[patches, 2]`."""
    rows, columns = (torch.arange(side * MERGE) for side in grid)
    places = torch.stack(torch.meshgrid(rows, columns, indexing="ij"))
    blocks = places.unflatten(2, (-1, MERGE)).unflatten(1, (-1, MERGE))
    return blocks.permute(0, 1, 3, 2, 4).reshape(2, -1).T


def encode(visual: nn.Module, x: Tensor, grid: Grid) -> Tensor:
    """Run the vision tower on `patches` of `grid`: float32 `[levels, images, tokens, hidden]`.

    Level 0 is what the tower gives in place of image tokens. Further levels are DeepStack's
    (arXiv 2406.04334), in the order of the text model's layers that they are added behind.
    Both frames of a still image are the same, so their patch weights are added first.
    """
    embedding = visual.patch_embed.proj
    x = functional.linear(x, embedding.weight.sum(2).flatten(1), embedding.bias)
    if hasattr(visual, "pos_embed"):
        x = x + _learned_positions(visual, grid)
    places = positions(grid)
    cos, sin = visual.rotary_pos_emb(x, places)
    seen, whole = _windows(visual, places), getattr(visual, "fullatt_block_indexes", ())
    further = {}
    for index, block in enumerate(visual.blocks):
        x = x + _attend(block.attn, block.norm1(x), cos, sin, None if index in whole else seen)
        x = x + block.mlp(block.norm2(x))
        further[index] = x
    behind = getattr(visual, "deepstack_visual_indexes", ())
    mergers = getattr(visual, "deepstack_merger_list", ())
    levels = [merger(further[index]) for index, merger in zip(behind, mergers, strict=True)]
    return torch.stack([visual.merger(x), *levels]).unflatten(1, (len(x), -1))


def _learned_positions(visual: nn.Module, grid: Grid) -> Tensor:
    """Return the table of learned positions, resampled to `grid`: float32 `[patches, width]`."""
    indices, weights = get_vision_interpolation_indices_and_weights(
        torch.tensor([[1, *(side * MERGE for side in grid)]]),
        num_grid_per_side=visual.num_grid_per_side,
        mode=visual.interpolation_mode,
        align_corners=visual.interpolation_align_corners,
        spatial_merge_size=MERGE,
    )
    return (visual.pos_embed(indices) * weights[..., None]).sum(1)


def _windows(visual: nn.Module, places: Tensor) -> Tensor | None:
    """Return which patches see which, where blocks attend within windows: bool `[patches] * 2`."""
    if not hasattr(visual, "window_size"):
        return None
    windows = places // (visual.window_size // PATCH)
    return (windows[:, None] == windows[None]).all(-1)


def _attend(
    attention: nn.Module, x: Tensor, cos: Tensor, sin: Tensor, seen: Tensor | None
) -> Tensor:
    images, length, width = x.shape
    split = attention.qkv(x).view(images, length, 3, attention.num_heads, -1)
    query, key, value = split.permute(2, 0, 3, 1, 4)
    query, key = (head * cos + _turned(head) * sin for head in (query, key))
    out = functional.scaled_dot_product_attention(query, key, value, attn_mask=seen)
    return attention.proj(out.transpose(1, 2).reshape(images, length, width))


def _turned(x: Tensor) -> Tensor:
    first, second = x.chunk(2, dim=-1)
    return torch.cat((-second, first), dim=-1)
