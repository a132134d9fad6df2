"""Learns R1 and R2: activations rounded, weights exact, loss against the float model.

SpinQuant (Liu et al. 2024, section 3.2): Cayley SGD from random Hadamard matrices, the rate
falling linearly to zero.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

import torch
from torch import Tensor

from vlmforge.learning.best import Best, judge_count
from vlmforge.learning.steps import Budget, announce, run_steps, timed
from vlmforge.progress import Progress
from vlmforge.transform.choose.learn.cayley import CayleySGD
from vlmforge.transform.choose.learn.rounded import RoundedGraph, memory

STEPS = 100

RATE = 1.5
"""Of Cayley SGD at the first step."""

JUDGED = 20
"""Steps between two looks at them."""

COST = 4.0
"""Time of a step in units of a plain evaluation: exact, rounded, backward."""

Sample = Mapping[str, Tensor]


def learn_rotations(
    graph: RoundedGraph,
    samples: Sequence[Sample],
    matrices: Sequence[Tensor],
    budget: Budget,
    progress: Progress | None = None,
    steps: int | None = None,
) -> tuple[float, float]:
    """Replace the matrices by those with the least loss met on the first samples.

    Args:
        graph: its rotations hold the matrices.
        samples: feeds; nothing is learned from those that judge, unless there is one alone.
        matrices: orthogonal, float32, changed in place.
        budget: says when to stop.
        progress: is told of every step.
        steps: how many, :data:`STEPS` by default.

    Returns:
        The mean loss of the judging samples before and after.
    """
    steps = STEPS if steps is None else steps
    judges = judge_count(len(samples))
    training = samples[judges:] or samples
    wanted, seconds = timed(lambda: [graph.exact(sample) for sample in samples[:judges]])
    what = f"the rotations of the {graph.graph.component} model"
    evaluations = COST * steps + (COST / 2) * judges * steps / JUDGED
    announce(what, seconds / judges * evaluations, memory(graph.graph, samples[0]))
    best = Best(matrices, partial(_mean_loss, graph, samples[:judges], wanted))
    descent = CayleySGD(matrices, [graph.rotated.keeps_mean(matrix) for matrix in matrices])

    def step(done: int) -> None:
        if done == 0:
            best.look()
        sample = training[done % len(training)]
        exact = graph.exact(sample)
        for matrix in matrices:
            matrix.requires_grad_()
        gradients = torch.autograd.grad(graph.loss(sample, exact), matrices)
        for matrix in matrices:
            matrix.requires_grad_(False)
        descent.step(gradients, RATE * (1 - done / steps))
        if (done + 1) % JUDGED == 0 or done + 1 == steps:
            best.look()

    run_steps(steps, step, budget, progress, f"learning {what}")
    best.restore()
    return best.first, best.least


def _mean_loss(graph: RoundedGraph, samples: Sequence[Sample], wanted: Sequence[Tensor]) -> float:
    losses = [graph.loss(*judge).item() for judge in zip(samples, wanted, strict=True)]
    return sum(losses) / len(losses)
