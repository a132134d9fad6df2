"""Batch: several questions padded on the left, as the original's decoder reads them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from vlmforge.original.inputs import Embedded


@dataclass(frozen=True)
class Batch:
    """Sequences of any lengths, padded on the left.

    Attributes:
        inputs_embeds: float32 ``[questions, longest, hidden]``, zero where nothing is.
        position_ids: int64 ``[3, questions, longest]``.
        mask: int64 ``[questions, longest]``: 0 where nothing is, which attention does not see.
        deepstack: what the first layers add, like ``inputs_embeds``.
    """

    inputs_embeds: Tensor
    position_ids: Tensor
    mask: Tensor
    deepstack: Sequence[Tensor]

    @staticmethod
    def of(questions: Sequence[Embedded]) -> Batch:
        """The questions in their order; there is one at least."""
        longest = max(each.length for each in questions)
        lengths = [torch.ones(each.length, dtype=torch.int64) for each in questions]
        return Batch(
            torch.cat([padded(each.inputs_embeds, longest, -2) for each in questions]),
            torch.stack([padded(each.position_ids, longest, -1) for each in questions], 1),
            torch.stack([padded(ones, longest, -1) for ones in lengths]),
            [
                torch.cat([padded(each.deepstack[name], longest, -2) for each in questions])
                for name in questions[0].deepstack
            ],
        )


def padded(values: Tensor, longest: int, axis: int) -> Tensor:
    """The values behind zeros, ``longest`` along an axis that is counted from the end."""
    missing = longest - values.shape[axis]
    return torch.nn.functional.pad(values, (0, 0) * (-1 - axis) + (missing, 0))
