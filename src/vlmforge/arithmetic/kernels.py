"""The native kernels of real numbers and of codes, where they can compute something."""

from __future__ import annotations

import functools
import os
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from vlmforge.errors import RunError

try:
    from vlmforge import _native
except ImportError:
    BUILT = False
else:
    BUILT = True

if TYPE_CHECKING:
    from vlmforge._native import Real, Whole


def has_order(device: str) -> bool:
    """Whether sums have the stated order on a device, as torch names it."""
    return BUILT and torch.device(device).type == "cpu"


def real_kernels(*tensors: Tensor, doubles: bool = False) -> Real | None:
    """The kernels that compute with some tensors, on as many threads as torch has.

    None where there are none: the machine was not built, or a tensor is on another device, asks for
    gradients, or is neither float32 nor, with ``doubles``, float64.

    Raises:
        RunError: ``VLMFORGE_ISA`` names an instruction set that this processor lacks.
    """
    dtype = tensors[0].dtype
    if not (BUILT and (dtype == torch.float32 or (doubles and dtype == torch.float64))):
        return None
    asked = torch.is_grad_enabled()
    for tensor in tensors:
        unfit = tensor.device.type != "cpu" or tensor.dtype != dtype
        if unfit or (asked and tensor.requires_grad):
            return None
    return _real(_instruction_set(os.environ.get("VLMFORGE_ISA")), torch.get_num_threads())


def whole_kernels() -> Whole:
    """The kernels that compute with codes on the CPU, on as many threads as torch has.

    They are there where :func:`has_order` says so.

    Raises:
        RunError: as of :func:`real_kernels`.
    """
    return _whole(_instruction_set(os.environ.get("VLMFORGE_ISA")), torch.get_num_threads())


@functools.cache
def _real(isa: str, threads: int) -> Real:
    return _native.Real(isa, threads)


@functools.cache
def _whole(isa: str, threads: int) -> Whole:
    return _native.Whole(isa, threads)


@functools.cache
def _instruction_set(wanted: str | None) -> str:
    names = _native.instruction_sets()
    name = wanted or names[0]
    if name not in names:
        raise RunError(
            f"there is no instruction set {name!r} here",
            mend=f"set VLMFORGE_ISA to one of {', '.join(names)}, or not at all",
        )
    return name
