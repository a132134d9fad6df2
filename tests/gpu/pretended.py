"""A device that computes on the CPU and refuses what a GPU does: values of two devices at once.

It is torch's backend for other hardware, ``privateuseone``, in Python. Every tensor on it wraps one
of the CPU, so sums are those of torch's library, as on a GPU. Once registered it stays for the
process.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import torch
from torch.utils._pytree import tree_map
from torch.utils.backend_registration import _setup_privateuseone_for_python_backend

NAME = "pretended"

COPIES = ("aten::copy_", "aten::_copy_from", "aten::_copy_from_and_resize")
"""What may read one device and write another."""

INDEXED = ("aten::index", "aten::index_put", "aten::index_put_", "aten::_index_put_impl_")
"""Where indices may be on the CPU, if what they choose from is not."""

VIEWS = ("aten::view", "aten::_unsafe_view", "aten::_reshape_alias")


class Pretended(torch.Tensor):
    """A tensor on the device.

    Attributes:
        held: its values, on the CPU.
    """

    held: torch.Tensor
    __torch_function__ = torch._C._disabled_torch_function_impl


def pretend() -> torch.device:
    """Register the device, once; and give it."""
    if torch._C._get_privateuse1_backend_name() != NAME:
        _setup_privateuseone_for_python_backend(NAME)
        _register()
    return torch.device(NAME)


SAVED = 10_000
"""Values that are found by their storage: autograd saves tensors without their class."""

_SAVED: OrderedDict[int, tuple[torch.UntypedStorage, torch.Tensor]] = OrderedDict()

_LIBRARIES: list[torch.library.Library] = []


def _register() -> None:
    everything = torch.library.Library("_", "IMPL")
    everything.fallback(_computed, "PrivateUse1")
    aten = torch.library.Library("aten", "IMPL")
    has = torch._C._dispatch_has_kernel_for_dispatch_key
    for name in torch._C._dispatch_get_all_op_names():
        composite = any(
            has(name, f"CompositeExplicitAutograd{kind}") for kind in ("", "NonFunctional")
        )
        if name.startswith("aten::") and composite:
            operator = _operator(name)
            aten.impl(name, _of(operator), "PrivateUse1")
    _LIBRARIES.extend([everything, aten])


def _operator(name: str) -> Any:
    plain, _, overload = name.removeprefix("aten::").partition(".")
    return getattr(getattr(torch.ops.aten, plain), overload or "default")


def _of(operator: Any) -> Callable[..., Any]:
    def compute(*args: Any, **kwargs: Any) -> Any:
        return _computed(operator, *args, **kwargs)

    return compute


def _computed(operator: Any, *args: Any, **kwargs: Any) -> Any:
    """What an operator gives, computed on the CPU, on this device."""
    name, wrappers, others = operator._schema.name, dict[int, torch.Tensor](), list[torch.Tensor]()
    here = all(each.type == NAME for each in kwargs.values() if isinstance(each, torch.device))

    def unwrap(value: Any) -> Any:
        if isinstance(value, torch.Tensor) and value.device.type == NAME:
            held = _held(value)
            wrappers[id(held)] = value
            return held
        if isinstance(value, torch.Tensor):
            others.append(value)
        if isinstance(value, torch.device) and value.type == NAME:
            return torch.device("cpu")
        return value

    given, named = tree_map(unwrap, args), tree_map(unwrap, kwargs)
    chosen = name in INDEXED and isinstance(args[0], torch.Tensor) and args[0].device.type == NAME
    if wrappers and name not in COPIES and not chosen and any(each.dim() for each in others):
        raise RuntimeError(f"{name} is given tensors on {NAME} and on the CPU")
    if name in VIEWS:
        found: Any = given[0].reshape(*given[1:2])
    else:
        found = operator(*given, **named)

    def wrap(value: Any) -> Any:
        if not here or not isinstance(value, torch.Tensor):
            return value
        if id(value) in wrappers:
            return wrappers[id(value)]
        return value if any(value is each for each in others) else wrapped(value)

    return tree_map(wrap, found)


def _held(tensor: torch.Tensor) -> torch.Tensor:
    """The values of a tensor on this device; of one that autograd has saved, by its storage."""
    if isinstance(tensor, Pretended):
        return tensor.held
    return _SAVED[tensor.untyped_storage()._cdata][1]


def wrapped(value: torch.Tensor) -> Pretended:
    """A value of the CPU on this device."""
    with torch.inference_mode(False):  # lest it be one that autograd's counters are not for
        made: Any = torch._C._acc.create_empty_tensor(value.shape, value.dtype)
    made.__class__ = Pretended
    made.held = value
    if torch.is_grad_enabled():
        storage = made.untyped_storage()
        _SAVED[storage._cdata] = (storage, value)
        while len(_SAVED) > SAVED:
            _SAVED.popitem(last=False)
    return made  # type: ignore[no-any-return]
