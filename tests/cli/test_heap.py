"""The heap keeps what is freed, where the C library can be asked to."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
from types import SimpleNamespace

import pytest

from vlmforge.cli.heap import FREE, HUGE_PAGES, LARGEST, MMAP_THRESHOLD, TRIM_THRESHOLD, keep_pages


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(HUGE_PAGES, "0")  # so that it is as before, afterwards
    monkeypatch.delenv(HUGE_PAGES)


def test_the_c_library_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[int, int]] = []
    library = SimpleNamespace(mallopt=lambda *given: asked.append(given))
    monkeypatch.setattr(ctypes, "CDLL", lambda name: library)
    keep_pages()
    assert asked == [(MMAP_THRESHOLD, LARGEST), (TRIM_THRESHOLD, FREE)]
    assert os.environ[HUGE_PAGES] == "1"


@pytest.mark.skipif(sys.platform != "linux", reason="a function of the C library of Linux")
def test_both_limits_are_taken() -> None:
    mallopt = ctypes.CDLL(None).mallopt
    assert (mallopt(MMAP_THRESHOLD, LARGEST), mallopt(TRIM_THRESHOLD, FREE)) == (1, 1)


HELD = """
import torch
from vlmforge.cli.heap import keep_pages

keep_pages()
kept = []
for layer in range(40):
    for width in (2048, 11008, 11008):
        weight = torch.ones(width, 2048)
        value = torch.ones(300, width)
        kept += [torch.ones(width), torch.ones(width)]
        del weight
print(next(line for line in open("/proc/self/status") if "RssAnon" in line).split()[1])
"""
"""Weights that come and go, and statistics of theirs that stay."""


@pytest.mark.skipif(sys.platform != "linux", reason="asks Linux for the process's memory")
def test_what_stays_does_not_hold_what_is_free() -> None:
    found = subprocess.run([sys.executable, "-c", HELD], capture_output=True, check=True, text=True)
    assert int(found.stdout) < 1 << 20, "kB"


def test_other_c_libraries_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ctypes, "CDLL", lambda name: SimpleNamespace())
    keep_pages()
