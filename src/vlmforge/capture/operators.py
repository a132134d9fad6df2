"""The operators ``torch.export`` keeps whole, as traceable modules use them.

Each is registered with a shape function only: export runs on the ``meta`` device, and the
meaning of the captured graph is :mod:`vlmforge.graph.evaluate`.
"""

from __future__ import annotations

import torch
from torch import Tensor

_LIBRARY = torch.library.Library("vlmforge", "DEF")


def _define(schema: str) -> None:
    _LIBRARY.define(schema)


_define("rope_lookup(Tensor position_ids, Tensor cos, Tensor sin, int[] sections) -> Tensor")
_define("rope(Tensor x, Tensor rows, int head_dim) -> Tensor")
_define("rms_norm(Tensor x, Tensor weight, int group, float eps) -> Tensor")
_define("quick_gelu(Tensor x) -> Tensor")
_define("gelu_tanh(Tensor x) -> Tensor")
_define("patch_embed(Tensor images, Tensor weight, Tensor? bias) -> Tensor")
_define(
    "attention(Tensor query, Tensor key, Tensor value, Tensor? sees, int heads, int kv_heads, "
    "int head_dim, float scale, bool causal, str? cache) -> Tensor"
)


@torch.library.impl(_LIBRARY, "rope_lookup", "Meta")
def _rope_lookup(position_ids: Tensor, cos: Tensor, sin: Tensor, sections: list[int]) -> Tensor:
    return cos.new_empty((position_ids.shape[1], 2, 2 * cos.shape[1]))


@torch.library.impl(_LIBRARY, "rope", "Meta")
def _rope(x: Tensor, rows: Tensor, head_dim: int) -> Tensor:
    return torch.empty_like(x)


@torch.library.impl(_LIBRARY, "rms_norm", "Meta")
def _rms_norm(x: Tensor, weight: Tensor, group: int, eps: float) -> Tensor:
    return torch.empty_like(x)


@torch.library.impl(_LIBRARY, "quick_gelu", "Meta")
def _quick_gelu(x: Tensor) -> Tensor:
    return torch.empty_like(x)


@torch.library.impl(_LIBRARY, "gelu_tanh", "Meta")
def _gelu_tanh(x: Tensor) -> Tensor:
    return torch.empty_like(x)


@torch.library.impl(_LIBRARY, "patch_embed", "Meta")
def _patch_embed(images: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    out, kernel_h, kernel_w, _ = weight.shape
    return images.new_empty(((images.shape[0] // kernel_h) * (images.shape[1] // kernel_w), out))


@torch.library.impl(_LIBRARY, "attention", "Meta")
def _attention(query: Tensor, *arguments: object) -> Tensor:
    return torch.empty_like(query)


rope_lookup = torch.ops.vlmforge.rope_lookup
rope = torch.ops.vlmforge.rope
rms_norm = torch.ops.vlmforge.rms_norm
quick_gelu = torch.ops.vlmforge.quick_gelu
gelu_tanh = torch.ops.vlmforge.gelu_tanh
patch_embed = torch.ops.vlmforge.patch_embed
attention = torch.ops.vlmforge.attention
