"""The bundled model, compiled, answers the bundled questions."""

from __future__ import annotations

from pathlib import Path

from vlmforge.evaluation.questions import evaluate, read_questions
from vlmforge.pipeline import compile_model
from vlmforge.run.session import Session
from vlmforge.sample import checkpoint, questions


def test_the_compiled_sample_answers_right(tmp_path: Path) -> None:
    compile_model(
        str(checkpoint()),
        tmp_path / "scenes",
        images="synthetic",
        num_samples=20,
        max_new_tokens=40,
    )
    report = evaluate(Session.open(tmp_path / "scenes"), read_questions(questions()))
    assert report["n"] >= 8
    assert report["accuracy"] == 1.0


def test_it_is_small() -> None:
    files = [file for file in checkpoint().iterdir() if file.is_file()]
    assert sum(file.stat().st_size for file in files) <= 16_000_000
