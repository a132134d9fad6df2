"""What the original takes to answer grows with what it holds, sees and writes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from vlmforge.families.decoder import LAYERS
from vlmforge.source.checkpoint import Checkpoint
from vlmforge.stages import answering, stack
from vlmforge.stages.answering import CONVERTED, READ_SPEED, Answering
from vlmforge.stages.arithmetic import Arithmetic
from vlmforge.stages.calibration import Calibration
from vlmforge.stages.stack import Stack
from vlmforge.stages.volume import Volume

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def fixed_speed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A computer that multiplies a row of a layer in a millisecond."""
    for module in (answering, stack):
        monkeypatch.setattr(module, "products_seconds", lambda shapes, rows, *_: rows / 1000)
    monkeypatch.setattr(stack, "value_seconds", lambda width, place: 1e-6)


@pytest.fixture
def checkpoint(tiny_checkpoint: Path) -> Checkpoint:
    return Checkpoint.open(str(tiny_checkpoint))


def stored(checkpoint: Checkpoint) -> Arithmetic:
    """In the dtype of the weights."""
    return Arithmetic(checkpoint.dtype(checkpoint.names()[0]), streamed=False)


def other(checkpoint: Checkpoint, streamed: bool) -> Arithmetic:
    dtype = "bfloat16" if stored(checkpoint).dtype == "float32" else "float32"
    return Arithmetic(dtype, streamed)


def asked(checkpoint: Checkpoint, way: Arithmetic | None = None, **options: object) -> Answering:
    calibration = Calibration(**{"num_samples": 3, "max_new_tokens": 8} | options)  # type: ignore[arg-type]
    volume, tower = Volume.of(checkpoint, calibration), checkpoint.family.tower
    assert tower is not None
    stacks = (Stack.of(checkpoint, begin, CPU) for begin in (LAYERS, tower.blocks))
    return Answering(checkpoint, calibration, volume, *stacks, way or stored(checkpoint))


def test_weights_are_held_where_the_original_answers_with_all_of_them(
    checkpoint: Checkpoint,
) -> None:
    streamed, whole = (other(checkpoint, each) for each in (True, False))
    few = {"num_samples": 1, "max_new_tokens": 1}
    held = [asked(checkpoint, way, **few).memory() for way in (None, streamed, whole)]
    assert held == sorted(held) and len({*held}) == 3
    without = [asked(checkpoint, way, answers="none").memory() for way in (streamed, whole)]
    assert without[0] == without[1]


def test_the_rows_of_a_batch_are_held(checkpoint: Checkpoint) -> None:
    base = asked(checkpoint, num_samples=4)
    longer = asked(checkpoint, num_samples=4, max_new_tokens=5000).memory() - base.memory()
    decoder = checkpoint.family.decoder
    sizes = decoder.sizes(decoder.part(checkpoint.settings))
    width = 4 if base.way.dtype == "float32" else 2
    position = 2 * sizes.layers * sizes.kv_heads * sizes.head_dim * width
    assert longer > 4 * 4000 * position
    many = asked(checkpoint, num_samples=16)
    assert many.memory() > base.memory()
    assert asked(checkpoint, num_samples=999).memory() == pytest.approx(many.memory(), rel=0.1)


def test_every_step_reads_what_the_memory_does_not_hold(
    checkpoint: Checkpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    way = replace(stored(checkpoint), streamed=True)
    held = asked(checkpoint, way).seconds()
    assert held == asked(checkpoint).seconds()
    monkeypatch.setattr(answering, "usable_memory", lambda: 1000)
    files = {checkpoint.holder(name) for name in checkpoint.names()}
    read = sum(file.stat().st_size for file in files) / READ_SPEED
    assert asked(checkpoint, way).seconds() - held == pytest.approx(8 * read)


def test_every_step_brings_weights_to_another_dtype(checkpoint: Checkpoint) -> None:
    whole, streamed = (asked(checkpoint, other(checkpoint, each)) for each in (False, True))
    tied = checkpoint.settings.tie_word_embeddings
    names = [name for name in checkpoint.names() if not tied or name != "lm_head.weight"]
    elements = sum(torch.Size(checkpoint.shape(name)).numel() for name in names)
    taken = streamed.seconds() - whole.seconds()
    assert taken == pytest.approx(8 * elements / CONVERTED)


def test_images_are_seen_whoever_answers(checkpoint: Checkpoint) -> None:
    none, own, draft = (asked(checkpoint, answers=each) for each in ("none", "own", "draft"))
    assert (none.count, own.count, draft.count) == (0, 3, 3)
    assert 0 < none.seconds() < own.seconds()
    assert draft.seconds() - own.seconds() == pytest.approx(none.seconds())
