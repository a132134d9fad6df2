"""How far the predictions of two models are apart."""

from __future__ import annotations

import numpy as np


def compare(reference: np.ndarray, package: np.ndarray) -> np.ndarray:
    """Agreement of two models at each position.

    Args:
        reference, package: logits, float32 ``[T, vocab]``.

    Returns:
        float64 ``[2, T]``: whether the most probable tokens are equal (0 or 1), and
        KL(reference ‖ package) in nats.
    """
    agree = reference.argmax(-1) == package.argmax(-1)
    return np.stack([agree, divergence(log_softmax(reference), log_softmax(package))])


def divergence(expected: np.ndarray, found: np.ndarray) -> np.ndarray:
    """KL(expected ‖ found) in nats, of log-probabilities ``[..., vocab]``."""
    result: np.ndarray = (np.exp(expected) * (expected - found)).sum(-1)
    return result


def log_softmax(logits: np.ndarray) -> np.ndarray:
    """Log-probabilities, float64, of logits ``[..., vocab]``."""
    shifted = logits.astype(np.float64) - logits.max(-1, keepdims=True)
    shifted -= np.log(np.exp(shifted).sum(-1, keepdims=True))
    return shifted
