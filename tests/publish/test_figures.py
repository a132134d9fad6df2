"""Figures are those that ``vlmforge eval --json`` writes, and no others."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from vlmforge.errors import PackageError
from vlmforge.evaluation.package import evaluate_package
from vlmforge.evaluation.windows import Windowing
from vlmforge.publish.figures import read_figures, shown_figures


def test_of_questions(tmp_path: Path) -> None:
    found = {"n": 400, "accuracy": 0.94, "top1_agreement": 0.9986, "kl": 0.00023456789}
    path = tmp_path / "figures.json"
    path.write_text(json.dumps({**found, "kinds": {"color": {"n": 1, "accuracy": 1.0}}}))
    assert list(shown_figures(read_figures(path))) == [
        ("questions", "400"),
        ("accuracy, exact match", "0.94"),
        ("top-1 agreement with the original", "0.9986"),
        ("KL divergence to the original, nats", "0.000234568"),
    ]


def test_of_texts(tiny_package: Path, tmp_path: Path) -> None:
    text, path = tmp_path / "text.txt", tmp_path / "figures.json"
    text.write_text("A red circle is left of the blue square.", encoding="utf-8")
    found = evaluate_package(tiny_package, [text], Windowing(16))
    path.write_text(json.dumps(found))
    figures = read_figures(path)
    assert figures["perplexity"] == found["perplexity"] and figures["windows"] == found["windows"]
    assert str(text) not in str(figures)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        "nonsense",
        '{"n": 1}',
        '{"n": 1, "accuracy": "high"}',
        '{"n": 1, "accuracy": NaN}',
        '{"n": 1, "accuracy": 1, "<b>": 2}',
        '{"n": true, "accuracy": 1}',
        '{"n": 1, "accuracy": [1]}',
    ],
)
def test_what_is_no_evaluation(text: str, tmp_path: Path) -> None:
    path = tmp_path / "figures.json"
    path.write_text(text)
    with pytest.raises(PackageError, match="evaluation cannot be taken") as caught:
        read_figures(path)
    assert caught.value.where == path and caught.value.mend
