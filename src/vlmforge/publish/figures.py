"""Figures of a package: what ``vlmforge eval --json`` has found."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vlmforge.errors import FormatError, PackageError
from vlmforge.formats.document import parse_object

NAMES = {
    "n": "questions",
    "accuracy": "accuracy, exact match",
    "reference_accuracy": "accuracy of the original",
    "tokens": "tokens predicted",
    "context": "tokens of a window",
    "stride": "tokens between windows",
    "min_context": "tokens before one that counts",
    "windows": "windows",
    "perplexity": "perplexity",
    "reference_perplexity": "perplexity of the original",
    "top1_agreement": "top-1 agreement with the original",
    "kl": "KL divergence to the original, nats",
    "kl_standard_error": "its standard error",
    "kl_99": "KL divergence, 99th percentile",
}
"""Keys of an evaluation, in the order shown, and what they are called."""

OTHERS = {"texts", "kinds", "sizes"}
"""Keys that are not shown: names of files, and figures of groups."""

PROOF = ({"n", "accuracy"}, {"windows", "perplexity"})
"""One of these is in every evaluation: of questions, or of texts."""

LARGEST = 1 << 20
"""Bytes of an evaluation."""


def read_figures(path: Path) -> dict[str, float]:
    """The figures in a file that ``vlmforge eval --json`` wrote, by what they are called.

    Raises:
        PackageError: the file cannot be read, or is not an evaluation.
    """
    document = _document(path)
    figures = {key: value for key, value in document.items() if key not in OTHERS}
    unknown = [key for key, value in figures.items() if key not in NAMES or not _is_number(value)]
    if unknown or not any(proof <= set(figures) for proof in PROOF):
        what = f"{unknown[0]!r} is not of an evaluation" if unknown else "it holds no evaluation"
        raise _refusal(path, what)
    return {name: figures[key] for key, name in NAMES.items() if key in figures}


def shown_figures(figures: Mapping[str, float]) -> list[tuple[str, str]]:
    """The figures as people read them."""
    return [(name, str(float(f"{value:.6g}")) if isinstance(value, float) else str(value))
            for name, value in figures.items()]  # fmt: skip


def _document(path: Path) -> dict[str, Any]:
    try:
        if path.stat().st_size > LARGEST:
            raise _refusal(path, "it is too large")
        return parse_object(path.read_bytes(), "the file", path)
    except (OSError, FormatError) as error:
        why = getattr(error, "strerror", None) or getattr(error, "what", None)
        raise _refusal(path, str(why or error)) from error


def _refusal(path: Path, why: str) -> PackageError:
    return PackageError(
        f"the evaluation cannot be taken: {why}",
        where=path,
        mend="write it with `vlmforge eval PACKAGE --questions FILE --json`, into a file",
    )


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
