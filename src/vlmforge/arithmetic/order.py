"""StatedOrder: a model of another library, computed in the stated order as far as that goes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from vlmforge.arithmetic.activations import activation
from vlmforge.arithmetic.attention import Operands, attention, whole
from vlmforge.arithmetic.functions import cos_sin
from vlmforge.arithmetic.kernels import has_order
from vlmforge.arithmetic.norms import layer_norm
from vlmforge.arithmetic.products import linear, product
from vlmforge.arithmetic.sums import row_means

aten = torch.ops.aten


class StatedOrder(TorchDispatchMode):
    """While it is entered, torch's operators that sum, and functions, are those of this package.

    For inference mode, in which operators arrive whole. They are those that vision encoders are
    made of: linear layers, convolutions whose patches do not overlap, LayerNorms, means over the
    last dimension, attention to all or to an interval of the keys, GELU, SiLU, sigmoid, cosine and
    sine. Operators that round each element once are torch's, whose bits are the same everywhere;
    so are all others, whose bits need not be. Of bfloat16 the results are rounded at the end.
    """

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Any = None
    ) -> Any:
        operator, named = func.overloadpacket, kwargs or {}
        ordered = _PRODUCTS.get(operator) or _ORDERED.get(operator)
        first = args[0] if args else None
        if ordered is not None and isinstance(first, Tensor) and has_order(first.device.type):
            bfloat16 = {"rounded": first.dtype == torch.bfloat16} if operator in _PRODUCTS else {}
            found = ordered(*map(_single, args), **named, **bfloat16)
            if found is not None:
                return found.to(first.dtype)
        return func(*args, **named)


def _single(value: Any) -> Any:
    """A bfloat16 tensor in float32."""
    bfloat16 = isinstance(value, Tensor) and value.dtype == torch.bfloat16
    return value.float() if bfloat16 else value


def _matmul(a: Tensor, b: Tensor, *, rounded: bool) -> Tensor | None:
    fits = a.dim() >= 2 and (b.dim() == 2 or a.shape[:-2] == b.shape[:-2])
    return product(a, b, rounded=rounded) if fits and a.is_floating_point() else None


def _convolution(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Sequence[int] = (1,),
    padding: Sequence[int] | str = (0,),
    dilation: Sequence[int] = (1,),
    groups: int = 1,
    *,
    rounded: bool,
) -> Tensor | None:
    """One whose kernel is its stride, as a product of patches; None for any other."""
    kernel = weight.shape[2:]
    plain = set(padding) == {0} and set(dilation) == {1} and groups == 1
    if tuple(stride) != tuple(kernel) or not plain:
        return None
    for axis, size in enumerate(kernel):
        x = x.unfold(2 + axis, size, size)
    counts = x.shape[2 : 2 + len(kernel)]
    rows = x.movedim(1, 1 + len(kernel)).reshape(len(x) * counts.numel(), weight[0].numel())
    found = linear(rows, weight.flatten(1), bias, rounded=rounded)
    return found.unflatten(0, (len(x), *counts)).movedim(-1, 1)


def _layer_norm(
    x: Tensor,
    shape: Sequence[int],
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
    cudnn_enable: bool = True,
) -> Tensor | None:
    if len(shape) != 1:
        return None
    y = layer_norm(x, eps)
    y = y if weight is None else y * weight
    return y if bias is None else y + bias


def _mean(
    x: Tensor, dim: Sequence[int] = (), keepdim: bool = False, *, dtype: Any = None
) -> Tensor | None:
    if list(dim) not in ([-1], [x.dim() - 1]) or dtype not in (None, x.dtype):
        return None
    return row_means(x)[..., None] if keepdim else row_means(x)


def _attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    mask: Tensor | None = None,
    dropout: float = 0.0,
    causal: bool = False,
    *,
    scale: float | None = None,
    enable_gqa: bool = False,
    rounded: bool,
) -> Tensor | None:
    """Of ``[batch, heads, rows, dim]``; None where rows do not see an interval of the keys each."""
    if query.dim() != 4 or dropout or causal or (mask is not None and mask.dtype != torch.bool):
        return None
    rows, keys, dim = query.shape[2], key.shape[2], query.shape[-1]
    masks = None if mask is None else mask.expand(*query.shape[:2], rows, keys)
    found = []
    for item in range(len(query)):
        operands = Operands(*(_rows(each[item]) for each in (query, key, value)))
        every = whole(rows, keys, query.device)
        visible = every if masks is None else _visible(masks[item])
        if visible is None:
            return None
        weight = dim**-0.5 if scale is None else scale
        seen = attention(operands, visible, dim, weight, rounded=rounded)
        found.append(seen.unflatten(1, (-1, dim)).transpose(0, 1))
    return torch.stack(found)


def _rows(heads: Tensor) -> Tensor:
    return heads.transpose(0, 1).flatten(1).contiguous()


def _visible(masks: Tensor) -> Tensor | None:
    """The interval of keys each row sees, if it is one, by all heads ``[heads, rows, keys]``."""
    count, first = masks[0].sum(-1), masks[0].int().argmax(-1)
    places = torch.arange(masks.shape[2])
    interval = (first[:, None] <= places) & (places < (first + count)[:, None])
    fits = bool((masks == interval).all()) and bool((count > 0).all())
    return torch.stack([first, first + count], 1) if fits else None


def _gelu(x: Tensor, *, approximate: str = "none") -> Tensor:
    return activation("gelu" if approximate == "none" else "gelu_tanh", x)


_PRODUCTS: Final[Mapping[Any, Callable[..., Tensor | None]]] = {
    aten.linear: linear,
    aten.matmul: _matmul,
    aten.conv2d: _convolution,
    aten.conv3d: _convolution,
    aten.scaled_dot_product_attention: _attention,
}
"""By operator: what multiplies, in bfloat16 what is given so, or None where it cannot."""

_ORDERED: Final[Mapping[Any, Callable[..., Tensor | None]]] = {
    aten.layer_norm: _layer_norm,
    aten.mean: _mean,
    aten.gelu: _gelu,
    aten.silu: lambda x: activation("silu", x),
    aten.sigmoid: lambda x: activation("sigmoid", x),
    aten.cos: lambda x: cos_sin(x)[0],
    aten.sin: lambda x: cos_sin(x)[1],
}
"""The same of all others, which compute in float32."""
