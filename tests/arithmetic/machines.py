"""The instruction sets and numbers of threads that must give the same bits."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import pytest
import torch
from torch import Tensor

_native = pytest.importorskip("vlmforge._native")

Result = TypeVar("Result")

THREADS = (1, 2, 4)


def everywhere(monkeypatch: pytest.MonkeyPatch, compute: Callable[[], Result]) -> list[Result]:
    """What a computation gives on every instruction set with one thread, then on more threads."""
    found = []
    for isa in _native.instruction_sets():
        monkeypatch.setenv("VLMFORGE_ISA", isa)
        found.append(compute())
    monkeypatch.delenv("VLMFORGE_ISA")
    for count in THREADS:
        with threads(count):
            found.append(compute())
    return found


def require_equal(monkeypatch: pytest.MonkeyPatch, compute: Callable[[], Tensor]) -> Tensor:
    """The result, which is the same to the last bit everywhere."""
    first, *others = everywhere(monkeypatch, compute)
    for other in others:
        assert torch.equal(first, other)
    return first


@contextmanager
def threads(count: int) -> Iterator[None]:
    """So many threads, and as many as before afterwards."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def normal(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float32) -> Tensor:
    """Normally distributed numbers."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)
