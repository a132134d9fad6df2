"""Losses: how far the output of a component is from the float model's."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor


def row_error(output: Tensor, wanted: Tensor) -> Tensor:
    """The squared error of rows ``[rows, channels]`` relative to their squares, the mean of rows.

    So a row of large values, which a norm divides by their size, counts as much as any other.
    """
    return ((output - wanted).square().sum(-1) / wanted.square().sum(-1)).mean()


def output_loss(component: str, output: Tensor, wanted: Tensor) -> Tensor:
    """What rounding costs at the output ``[rows, channels]``.

    For a text model the mean KL divergence of next tokens, in nats; for another the squared error
    relative to the output.
    """
    if component != "language":
        return (output - wanted).square().sum() / wanted.square().sum()
    found, exact = F.log_softmax(output, -1), F.log_softmax(wanted, -1)
    return F.kl_div(found, exact, reduction="batchmean", log_target=True)
