"""The heap keeps what is freed, where the C library can be asked to."""

from __future__ import annotations

import ctypes
import sys
from types import SimpleNamespace

import pytest

from vlmforge.cli.heap import FREE, LARGEST, MMAP_THRESHOLD, TRIM_THRESHOLD, keep_pages


def test_the_c_library_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[int, int]] = []
    library = SimpleNamespace(mallopt=lambda *given: asked.append(given))
    monkeypatch.setattr(ctypes, "CDLL", lambda name: library)
    keep_pages()
    assert asked == [(MMAP_THRESHOLD, LARGEST), (TRIM_THRESHOLD, FREE)]


@pytest.mark.skipif(sys.platform != "linux", reason="a function of the C library of Linux")
def test_both_limits_are_taken() -> None:
    mallopt = ctypes.CDLL(None).mallopt
    assert (mallopt(MMAP_THRESHOLD, LARGEST), mallopt(TRIM_THRESHOLD, FREE)) == (1, 1)


def test_other_c_libraries_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ctypes, "CDLL", lambda name: SimpleNamespace())
    keep_pages()
