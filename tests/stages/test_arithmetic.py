"""The original answers in what suits its size, the processor and the memory."""

from __future__ import annotations

from pathlib import Path

import pytest

from vlmforge.source.checkpoint import Checkpoint
from vlmforge.stages import arithmetic
from vlmforge.stages.arithmetic import Arithmetic


@pytest.fixture
def checkpoint(tiny_checkpoint: Path) -> Checkpoint:
    return Checkpoint.open(str(tiny_checkpoint))


@pytest.mark.parametrize("fast", [True, False])
def test_a_small_model_answers_in_float32(
    checkpoint: Checkpoint, monkeypatch: pytest.MonkeyPatch, fast: bool
) -> None:
    monkeypatch.setattr(arithmetic, "_fast_bfloat16", lambda device: fast)
    assert Arithmetic.of(checkpoint) == Arithmetic("float32", streamed=False)
    monkeypatch.setattr(arithmetic, "FLOAT32_BYTES", 1000)
    assert Arithmetic.of(checkpoint).dtype == ("bfloat16" if fast else "float32")


@pytest.mark.parametrize(("memory", "streamed"), [(None, False), (1 << 40, False), (1000, True)])
def test_what_does_not_fit_is_streamed(
    checkpoint: Checkpoint, monkeypatch: pytest.MonkeyPatch, memory: int | None, streamed: bool
) -> None:
    monkeypatch.setattr(arithmetic, "usable_memory", lambda: memory)
    for dtype in ("float32", "bfloat16"):
        assert Arithmetic.of(checkpoint, dtype=dtype) == Arithmetic(dtype, streamed)
