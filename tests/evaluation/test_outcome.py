"""What many outcomes come to, and how sure of it one may be."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from vlmforge.evaluation.outcome import Outcome, summaries, summary


def outcome(divergences: Sequence[float], size: str | None = None) -> Outcome:
    compared = np.stack([np.ones(len(divergences)), divergences])
    return Outcome(True, size=size, reference_right=True, divergence=compared)


def drawn(chance: np.random.Generator, questions: int) -> list[Outcome]:
    """Long answers are the surer ones, and the tokens of an answer go together."""
    lengths = chance.integers(1, 9, size=questions)
    return [outcome(np.full(n, chance.exponential() / n)) for n in lengths]


def test_the_error_of_equal_answers_is_that_of_a_mean() -> None:
    found = summary([outcome([value]) for value in (1.0, 2.0, 4.0, 5.0)])
    assert found["kl"] == 3
    assert found["kl_standard_error"] == pytest.approx(np.std([1, 2, 4, 5], ddof=1) / 2)


def test_the_error_is_how_far_other_questions_stray() -> None:
    chance = np.random.default_rng(0)
    found = [summary(drawn(chance, 200)) for _ in range(400)]
    errors = [each["kl_standard_error"] for each in found]
    assert np.mean(errors) == pytest.approx(np.std([each["kl"] for each in found]), rel=0.1)


def test_a_group_of_one_question_has_no_error() -> None:
    asked = [outcome([0.5, 0.1], "wide"), outcome([0.5], "tall"), outcome([0.25], "tall")]
    groups = summaries(asked, lambda each: each.size)
    assert "kl_standard_error" in groups["tall"] and "kl_standard_error" not in groups["wide"]
    assert "kl_standard_error" not in summary([Outcome(True), Outcome(False)])
