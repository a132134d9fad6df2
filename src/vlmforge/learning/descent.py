"""Descent: steps of Adam on the losses of samples, one after the other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from vlmforge.learning.best import Best
from vlmforge.learning.steps import Learning, run_steps


@dataclass(frozen=True)
class Descent:
    """Settings of Adam (Kingma and Ba 2014).

    Attributes:
        rate: of the first step; it falls linearly to zero.
        batch: samples of a step.
        judged: steps between two looks at the best; None for one at the end.
        betas: decay of the moments.
    """

    rate: float
    batch: int = 1
    judged: int | None = None
    betas: tuple[float, float] = (0.9, 0.95)

    def run(
        self,
        best: Best,
        loss: Callable[[int], Tensor],
        samples: Sequence[int],
        learning: Learning,
        doing: str,
    ) -> None:
        """Change the tensors of ``best``, then give them the values of the least loss met.

        Args:
            best: looked at once before.
            loss: of one sample, differentiable in the tensors.
            samples: those learned from, in this order, again and again.
            learning: how long.
            doing: what progress is told.
        """
        for tensor in best.tensors:
            tensor.requires_grad_()
        adam = torch.optim.Adam(best.tensors, lr=self.rate, betas=self.betas)

        def step(done: int) -> None:
            adam.param_groups[0]["lr"] = self.rate * (1 - done / learning.steps)
            adam.zero_grad()
            for turn in range(done * self.batch, (done + 1) * self.batch):
                (loss(samples[turn % len(samples)]) / self.batch).backward()
            adam.step()
            if self.judged and (done + 1) % self.judged == 0:
                best.look()

        run_steps(learning.steps, step, learning.budget, learning.progress, doing)
        if self.judged is None or learning.steps % self.judged:
            best.look()
        best.restore()
