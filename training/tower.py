"""A batched forward pass of the vision tower, equal to that of transformers but faster."""

from __future__ import annotations

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional
from transformers.image_utils import OPENAI_CLIP_MEAN, OPENAI_CLIP_STD

PATCH, MERGE = 14, 2
"""Side of a patch in pixels, of a merged token in patches."""

Grid = tuple[int, int]
"""Rows and columns of merged tokens."""


def patches(images: list[Image.Image]) -> Tensor:
    """Normalize images of one size and cut them: float32 `[images, patches, 588]`, merged order.

    Their sides are multiples of 28 pixels.
    """
    pixels = torch.from_numpy(np.stack([np.asarray(image) for image in images])).float() / 255
    pixels = (pixels - torch.tensor(OPENAI_CLIP_MEAN)) / torch.tensor(OPENAI_CLIP_STD)
    blocks = pixels.unflatten(2, (-1, MERGE, PATCH)).unflatten(1, (-1, MERGE, PATCH))
    return blocks.permute(0, 1, 4, 2, 5, 7, 3, 6).flatten(5).flatten(1, 4)


def positions(grid: Grid) -> Tensor:
    """Return the row and column of each patch in merged order: int64 `[patches, 2]`."""
    rows, columns = (torch.arange(side * MERGE) for side in grid)
    places = torch.stack(torch.meshgrid(rows, columns, indexing="ij"))
    blocks = places.unflatten(2, (-1, MERGE)).unflatten(1, (-1, MERGE))
    return blocks.permute(0, 1, 3, 2, 4).reshape(2, -1).T


def encode(visual: nn.Module, x: Tensor, grid: Grid) -> Tensor:
    """Run the vision tower on `patches` of `grid`: float32 `[images, tokens, hidden]`.

    Both frames of a still image are the same, so their patch weights are added first.
    """
    kernel = visual.patch_embed.proj.weight.sum(2).flatten(1)
    x = functional.linear(x, kernel)
    cos, sin = visual.rotary_pos_emb(x, positions(grid))
    for block in visual.blocks:
        x = x + _attend(block.attn, block.norm1(x), cos, sin)
        x = x + block.mlp(block.norm2(x))
    return visual.merger(x).view(len(x), -1, visual.config.hidden_size)


def _attend(attention: nn.Module, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    images, length, width = x.shape
    split = attention.qkv(x).view(images, length, 3, attention.num_heads, -1)
    query, key, value = split.permute(2, 0, 3, 1, 4)
    query, key = (head * cos + _turned(head) * sin for head in (query, key))
    out = functional.scaled_dot_product_attention(query, key, value)
    return attention.proj(out.transpose(1, 2).reshape(images, length, width))


def _turned(x: Tensor) -> Tensor:
    first, second = x.chunk(2, dim=-1)
    return torch.cat((-second, first), dim=-1)
