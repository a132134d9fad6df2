"""Learned scales: gradient descent on their logarithms from the closed form.

OmniQuant (Shao et al. 2023) learns equivalent scales so, block by block. The loss is the error
of the block's output with activations and weights rounded as in the integer program; rounding
passes gradients straight through (Bengio et al. 2013).
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from vlmforge.learning.steps import Budget, run_steps

STEPS = 200

RATE = 0.02
"""Of Adam (Kingma and Ba 2014): a step changes a scale by about two percent."""


def learned_scales(
    loss: Callable[[Tensor], Tensor],
    start: Tensor,
    tie: Tensor | None,
    budget: Budget,
    steps: int,
) -> Tensor:
    """The scales with the least loss met in ``steps`` steps from ``start``, which counts as met.

    Args:
        loss: of positive scales ``[n]``, float32, differentiable.
        start: ``[n]``, positive, equal where tied.
        tie: int64 ``[n]``, equal for scales that stay equal.
        budget: says when to stop.
        steps: how many.
    """
    logarithms = start.log().clone()
    if tie is not None:
        logarithms = torch.zeros_like(logarithms[: int(tie.max()) + 1]).scatter(0, tie, logarithms)
    logarithms.requires_grad_()
    adam = torch.optim.Adam([logarithms], lr=RATE)
    best, least = start, float("inf")

    def step(done: int) -> None:
        nonlocal best, least
        scales = (logarithms if tie is None else logarithms[tie]).exp()
        value = loss(scales)
        if value.item() < least:
            best, least = scales.detach().clone(), value.item()
        adam.zero_grad()
        value.backward()
        adam.param_groups[0]["lr"] = RATE * (1 - done / steps)
        adam.step()

    run_steps(steps, step, budget)
    return best
