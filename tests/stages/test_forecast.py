"""How long a compilation takes is said in one line, and grows with what is asked for."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from vlmforge.images.layout import Layout
from vlmforge.source.checkpoint import Checkpoint
from vlmforge.stages import answering, stack
from vlmforge.stages import forecast as forecast_module
from vlmforge.stages.arithmetic import Arithmetic
from vlmforge.stages.calibration import Calibration, TextCalibration
from vlmforge.stages.forecast import Forecast, forecast

WAY = Arithmetic("bfloat16", streamed=False)
QUANTIZE = {"language": 8000.0, "vision": 1000.0}
FOUND = Forecast("Qwen2-VL-2B-Instruct", 2_208_985_600, 100, 4000.0, QUANTIZE, WAY)


@pytest.fixture(autouse=True)
def fixed_speed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A computer that multiplies a row of a layer in a millisecond."""
    for module in (answering, stack):
        monkeypatch.setattr(module, "products_seconds", lambda shapes, rows, *_: rows / 1000)
    monkeypatch.setattr(stack, "value_seconds", lambda width, place: 1e-6)


def test_the_sentence_names_what_is_done() -> None:
    assert FOUND.sentence() == (
        "Qwen2-VL-2B-Instruct, 2.2 billion parameters: at most 67 min for 100 answers of it in "
        "bfloat16, about 2.5 h to quantize it"
    )
    streamed = replace(FOUND, arithmetic=Arithmetic("bfloat16", streamed=True))
    assert "of it in bfloat16, weights read as they are needed, about" in streamed.sentence()
    decoder = replace(FOUND, parameters=494_000_000, answers=0, quantize={"language": 12.0})
    assert decoder.sentence() == (
        "Qwen2-VL-2B-Instruct, 494.0 million parameters: about 12 s to quantize it"
    )


def test_more_samples_take_longer(tiny_checkpoint: Path) -> None:
    checkpoint = Checkpoint.open(str(tiny_checkpoint))
    few, more, most = (forecast(checkpoint, Calibration(num_samples=n)) for n in (16, 32, 48))
    assert few.answers == 16 and few.arithmetic == Arithmetic("float32", streamed=False)
    assert more.answer_seconds == pytest.approx(2 * few.answer_seconds, rel=0.05)
    running = more.quantize_seconds - few.quantize_seconds
    assert most.quantize_seconds - more.quantize_seconds == pytest.approx(running, rel=0.1)
    assert 0 < running < few.quantize_seconds, "rounding takes as long for few samples as for many"


def test_samples_beyond_those_held_take_no_longer(
    tiny_checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(forecast_module, "MOST", 1000)
    checkpoint = Checkpoint.open(str(tiny_checkpoint))
    many, more = (forecast(checkpoint, Calibration(num_samples=n)) for n in (300, 600))
    assert more.quantize_seconds == pytest.approx(many.quantize_seconds, rel=0.02)


def test_answers_are_counted_by_batches(tiny_checkpoint: Path) -> None:
    checkpoint = Checkpoint.open(str(tiny_checkpoint))
    short, long = (
        forecast(checkpoint, Calibration(num_samples=16, max_new_tokens=n)) for n in (100, 200)
    )
    assert long.answer_seconds - short.answer_seconds == pytest.approx(100 * (3 * 0.016 + 0.016))


def test_larger_images_take_longer(tiny_checkpoint: Path) -> None:
    checkpoint = Checkpoint.open(str(tiny_checkpoint))
    small, large = (
        forecast(checkpoint, Calibration(layout=Layout(max_pixels=n))) for n in (25088, 100352)
    )
    assert large.answer_seconds > small.answer_seconds
    assert large.quantize_seconds > small.quantize_seconds


def test_a_decoder_answers_nothing(tiny_decoder: Path) -> None:
    found = forecast(Checkpoint.open(str(tiny_decoder)), Calibration(text=TextCalibration([], 64)))
    assert found.answers == 0
    assert found.quantize.keys() == {"language"} and found.quantize_seconds > 0


def test_a_draft_is_quantized_and_sees_for_itself(tiny_checkpoint: Path) -> None:
    checkpoint = Checkpoint.open(str(tiny_checkpoint))
    own, draft = (
        forecast(checkpoint, Calibration(num_samples=80, answers=each)) for each in ("own", "draft")
    )
    nearest = forecast(checkpoint, Calibration(num_samples=8), compensates=False)
    seen = forecast(checkpoint, Calibration(num_samples=80, answers="none"))
    assert draft.answers == own.answers == 80 and seen.answers == 0
    assert draft.answer_seconds - own.answer_seconds == pytest.approx(
        seen.answer_seconds + nearest.quantize_seconds, rel=0.05
    )
    assert draft.quantize == own.quantize


def test_rounding_to_nearest_takes_no_time_of_its_own(tiny_checkpoint: Path) -> None:
    checkpoint, asked = Checkpoint.open(str(tiny_checkpoint)), Calibration(num_samples=16)
    nearest, compensated = (forecast(checkpoint, asked, compensates=on) for on in (False, True))
    assert 0 < nearest.quantize_seconds < compensated.quantize_seconds
