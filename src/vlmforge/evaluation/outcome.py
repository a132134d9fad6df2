"""Outcome: what became of one question, and what became of many together."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Outcome:
    """What became of a question.

    Attributes:
        right: whether the package answered it.
        kind: the group the question belongs to, or None.
        size: the bucket of its images, by number, size and shape, or None where all have one size.
        reference_right: whether the reference answered it; None without one.
        divergence: of each token of the reference's answer whether the package would have chosen
            it, and KL(reference ‖ package) in nats: float64 ``[2, T]``; None without a reference.
    """

    right: bool
    kind: str | None = None
    size: str | None = None
    reference_right: bool | None = None
    divergence: np.ndarray | None = None


def summary(outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """``n`` and ``accuracy``; beside a reference also its accuracy, and the divergence from it.

    The divergence has a standard error, if there are two questions or more.
    """
    report: dict[str, Any] = {
        "n": len(outcomes),
        "accuracy": float(np.mean([each.right for each in outcomes])),
    }
    compared = [each.divergence for each in outcomes if each.divergence is not None]
    if compared:
        agree, divergence = np.concatenate(compared, axis=1)
        report["reference_accuracy"] = float(np.mean([each.reference_right for each in outcomes]))
        report["top1_agreement"] = float(agree.mean())
        report["kl"] = float(divergence.mean())
    if len(compared) > 1:
        report["kl_standard_error"] = _standard_error([each[1] for each in compared])
    return report


def _standard_error(answers: Sequence[np.ndarray]) -> float:
    """That of the mean over all tokens of at least two answers, float64 ``[T]`` each.

    Answers are independent, their tokens are not: the mean is a ratio of two sums over answers.
    """
    mean = np.concatenate(answers).mean()
    strays = np.array([(each - mean).sum() for each in answers])
    tokens = sum(map(len, answers))
    return float(np.sqrt((strays**2).sum() * len(answers) / (len(answers) - 1)) / tokens)


def summaries(
    outcomes: Iterable[Outcome], group: Callable[[Outcome], str | None]
) -> dict[str, dict[str, Any]]:
    """The :func:`summary` of each group, sorted by its name; what is in none is left out."""
    groups: dict[str, list[Outcome]] = {}
    for each in outcomes:
        if (name := group(each)) is not None:
            groups.setdefault(name, []).append(each)
    return {name: summary(groups[name]) for name in sorted(groups)}
