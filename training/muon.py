"""The Muon optimizer in float32, and the optimizers of a model."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn


def orthogonal(matrix: Tensor) -> Tensor:
    """Push the singular values of a float32 `[m, n]` matrix towards one (Newton-Schulz)."""
    tall = matrix.shape[0] > matrix.shape[1]
    x = matrix.T if tall else matrix
    x = x / (x.norm() + 1e-7)
    for _ in range(5):
        gram = x @ x.T
        x = 3.4445 * x + (2.0315 * gram @ gram - 4.7750 * gram) @ x
    return x.T if tall else x


class Muon(torch.optim.Optimizer):
    """Momentum whose step is made orthogonal, scaled to the step size of AdamW."""

    def __init__(self, params: Iterable[nn.Parameter], lr: float, decay: float = 0.01) -> None:
        super().__init__(params, {"lr": lr, "decay": decay, "momentum": 0.95})

    @torch.no_grad()
    def step(self) -> None:
        """Update every matrix that has a gradient."""
        for group in self.param_groups:
            for matrix in group["params"]:
                if matrix.grad is not None:
                    self._update(matrix, group)

    def _update(self, matrix: nn.Parameter, group: dict) -> None:
        state = self.state[matrix]
        velocity = state.setdefault("velocity", torch.zeros_like(matrix))
        velocity.lerp_(matrix.grad, 1 - group["momentum"])
        step = orthogonal(matrix.grad.lerp(velocity, group["momentum"]))
        matrix.mul_(1 - group["lr"] * group["decay"])
        matrix.add_(step, alpha=-0.2 * group["lr"] * max(matrix.shape) ** 0.5)


def optimizers(module: nn.Module, lr: float) -> list[torch.optim.Optimizer]:
    """Return Muon for the hidden matrices of `module` and AdamW for its other parameters."""
    matrices, others = [], []
    for name, parameter in module.named_parameters():
        if parameter.requires_grad:
            hidden = parameter.ndim == 2 and "embed" not in name and "heads" not in name
            (matrices if hidden else others).append(parameter)
    adam = torch.optim.AdamW(others, lr, betas=(0.9, 0.98), weight_decay=0.0)
    return [Muon(matrices, lr), adam]
