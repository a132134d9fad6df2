"""The bundled models, compiled, answer the bundled questions."""

from __future__ import annotations

from pathlib import Path

import pytest

from vlmforge.evaluation.questions import evaluate, read_questions
from vlmforge.pipeline import compile_model
from vlmforge.run.session import Session
from vlmforge.sample import FAMILIES, checkpoint, questions

RIGHT = {"qwen2-vl": 1.0, "qwen3-vl": 0.9}
"""Share of the bundled questions; they were chosen as those that the first one answers right."""


@pytest.mark.parametrize("family", FAMILIES)
def test_the_compiled_sample_answers_right(tmp_path: Path, family: str) -> None:
    compile_model(
        str(checkpoint(family)),
        tmp_path / "scenes",
        images="synthetic",
        num_samples=20,
        max_new_tokens=40,
    )
    report = evaluate(Session.open(tmp_path / "scenes"), read_questions(questions()))
    assert report["n"] == 10
    assert report["accuracy"] >= RIGHT[family]


@pytest.mark.parametrize("family", FAMILIES)
def test_it_is_small(family: str) -> None:
    files = [file for file in checkpoint(family).iterdir() if file.is_file()]
    assert sum(file.stat().st_size for file in files) <= 16_000_000


def test_other_families_have_none() -> None:
    with pytest.raises(ValueError, match="only of qwen2-vl and qwen3-vl"):
        checkpoint("internvl")
