"""Evaluation on texts: perplexity, and the distance of compiled models from the original."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from vlmforge.decode.context import Context
from vlmforge.decode.inputs import Inputs
from vlmforge.decode.reading import extend
from vlmforge.evaluation.divergence import divergence, log_softmax
from vlmforge.evaluation.windows import Window
from vlmforge.machine.machine import Machine
from vlmforge.progress import Progress

SLICE = 128
"""Rows whose logits are in memory at once."""

ROWS = 4
"""Rows compared at once, so that their probabilities stay in the processor's cache."""


class TextModel(Protocol):
    """What predicts the next token of a text."""

    def logits(
        self, token_ids: np.ndarray, spans: Sequence[tuple[int, int]]
    ) -> Iterator[np.ndarray]:
        """The logits of some rows of a sequence, float32 ``[stop - start, vocab]`` for each span.

        Args:
            token_ids: int64 ``[seq]``.
            spans: ``(start, stop)`` of rows, each behind the one before; row t predicts token
                t + 1.
        """
        ...


@dataclass(frozen=True)
class ProgramModel:
    """A text program as a :class:`TextModel`; it needs no package around it.

    Attributes:
        machine: of the program.
        embeddings: float32 ``[vocab, hidden]``, rotated as the program expects.
    """

    machine: Machine
    embeddings: np.ndarray

    def logits(
        self, token_ids: np.ndarray, spans: Sequence[tuple[int, int]]
    ) -> Iterator[np.ndarray]:
        """See :meth:`TextModel.logits`; the spans of a sequence share one KV cache."""
        context = Context(self.machine, self.embeddings, len(token_ids))
        for start, stop in spans:
            new = Inputs.plain(token_ids[context.length : stop])
            yield extend(context, new, logits=stop - start)


def spans(window: Window) -> list[tuple[int, int]]:
    """The rows that count, cut into runs of at most :data:`SLICE`."""
    end = len(window.token_ids) - 1
    return [(start, min(start + SLICE, end)) for start in range(window.first, end, SLICE)]


def evaluate_text(
    models: Mapping[str, TextModel],
    windows: Sequence[Window],
    reference: TextModel | None = None,
    progress: Progress | None = None,
) -> dict[str, dict[str, Any]]:
    """Judge models by the tokens that count in the windows.

    Args:
        models: by name; all read the same windows, and the reference runs once for all.
        windows: of :meth:`vlmforge.evaluation.windows.Windowing.cut`.
        reference: the original model.
        progress: is told of every window.

    Returns:
        For each model ``windows``, ``tokens`` (that count) and ``perplexity``. With a reference
        also ``reference_perplexity``, ``kl`` (mean KL(reference ‖ model), nats a token),
        ``kl_standard_error``, ``kl_99`` (99th percentile) and ``top1_agreement``.
    """
    collected: dict[str, list[np.ndarray]] = {name: [] for name in models}
    for done, window in enumerate(windows, start=1):
        read = (window.token_ids, spans(window))
        streams = {name: model.logits(*read) for name, model in models.items()}
        originals = reference.logits(*read) if reference is not None else None
        for start, stop in spans(window):
            targets = window.token_ids[start + 1 : stop + 1]
            original = next(originals) if originals is not None else None
            for name, stream in streams.items():
                collected[name].append(score(next(stream), targets, original))
        if progress is not None:
            progress("evaluating", done, len(windows))
    return {name: _report(np.concatenate(s, axis=1), len(windows)) for name, s in collected.items()}


def score(
    logits: np.ndarray, targets: np.ndarray, reference: np.ndarray | None = None
) -> np.ndarray:
    """Judge predictions one by one.

    Args:
        logits: float32 ``[T, vocab]``.
        targets: the tokens that came, int64 ``[T]``.
        reference: the original model's logits, float32 ``[T, vocab]``.

    Returns:
        float64 ``[1, T]``: −log p(target). With a reference ``[4, T]``: the same, that of the
        reference, KL(reference ‖ model), and whether the most probable tokens are equal.
    """
    parts = []
    for start in range(0, len(targets), ROWS):
        rows = slice(start, start + ROWS)
        original = None if reference is None else reference[rows]
        parts.append(_score(logits[rows], targets[rows], original))
    return np.concatenate(parts, axis=1)


def _score(logits: np.ndarray, targets: np.ndarray, reference: np.ndarray | None) -> np.ndarray:
    found, rows = log_softmax(logits), np.arange(len(targets))
    if reference is None:
        return -found[rows, targets][None]
    expected = log_softmax(reference)
    agree = logits.argmax(-1) == reference.argmax(-1)
    losses = (-found[rows, targets], -expected[rows, targets])
    return np.stack([*losses, divergence(expected, found), agree])


def _report(scores: np.ndarray, windows: int) -> dict[str, Any]:
    tokens = scores.shape[1]
    report = {"windows": windows, "tokens": tokens, "perplexity": math.exp(scores[0].mean())}
    if len(scores) == 1:
        return report
    return report | {
        "reference_perplexity": math.exp(scores[1].mean()),
        "kl": float(scores[2].mean()),
        "kl_standard_error": float(scores[2].std() / math.sqrt(tokens)),
        "kl_99": float(np.quantile(scores[2], 0.99)),
        "top1_agreement": float(scores[3].mean()),
    }
