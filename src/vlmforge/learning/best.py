"""Best: the values of tensors at which a loss was least."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

JUDGES = 8


def judge_count(samples: int) -> int:
    """How many samples are kept for judging: at most :data:`JUDGES`, no more than a third."""
    return max(1, min(JUDGES, samples // 3))


class Best:
    """Looks at a loss from time to time, and remembers what the tensors were when it was least.

    Attributes:
        tensors: those.
        first: the loss at the first look.
        least: the least loss met.
    """

    def __init__(self, tensors: Sequence[Tensor], loss: Callable[[], float]) -> None:
        self.tensors, self._loss = list(tensors), loss
        self._kept = [tensor.detach().clone() for tensor in self.tensors]
        self.first = self.least = math.inf

    @staticmethod
    def of_samples(tensors: Sequence[Tensor], loss: Callable[[int], Tensor], samples: int) -> Best:
        """Looks at the mean loss of the samples that judge, the first of so many."""
        judges = judge_count(samples)
        return Best(tensors, lambda: sum(loss(judge).item() for judge in range(judges)) / judges)

    @torch.no_grad()
    def look(self) -> None:
        """Measure the loss with the tensors as they are."""
        loss = self._loss()
        if not math.isfinite(self.first):
            self.first = loss
        if loss < self.least:
            self.least, self._kept = loss, [tensor.detach().clone() for tensor in self.tensors]

    @torch.no_grad()
    def restore(self) -> None:
        """Give the tensors the values of the least loss, or those of the beginning."""
        for tensor, kept in zip(self.tensors, self._kept, strict=True):
            tensor.requires_grad_(False).copy_(kept)
