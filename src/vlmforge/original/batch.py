"""Several questions as one batch, padded on the left, as the original model answers them."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import torch
from torch import Tensor

from vlmforge.original.inputs import ReferenceInputs


def left_padded(questions: Sequence[ReferenceInputs], pad: int) -> dict[str, Tensor]:
    """The arguments of transformers' ``generate`` for questions of any lengths.

    Args:
        questions: each of one sequence.
        pad: a token id, which the attention mask hides.

    Returns:
        ``input_ids``, ``attention_mask`` and ``mm_token_type_ids``, int64 ``[questions, longest]``,
        and where there are images the pictures of all, in order.
    """
    longest = max(each.length for each in questions)
    batch = {
        "input_ids": torch.full((len(questions), longest), pad),
        "attention_mask": torch.zeros(len(questions), longest, dtype=torch.int64),
        "mm_token_type_ids": torch.zeros(len(questions), longest, dtype=torch.int64),
    }
    for row, each in enumerate(questions):
        batch["input_ids"][row, longest - each.length :] = each.input_ids[0]
        batch["attention_mask"][row, longest - each.length :] = 1
        batch["mm_token_type_ids"][row, longest - each.length :] = each.token_types[0]
    shown = [each.pictures for each in questions if each.pictures]
    for name in shown[0] if shown else ():
        batch[name] = torch.cat([pictures[name] for pictures in shown])
    return batch


def answers(generated: Tensor, stop: Collection[int]) -> list[list[int]]:
    """The answers in what a batch generated, int64 ``[questions, tokens]``.

    Each ends with its first token of ``stop``; what follows is padding.
    """
    rows: list[list[int]] = generated.tolist()
    return [_up_to(row, stop) for row in rows]


def _up_to(row: list[int], stop: Collection[int]) -> list[int]:
    end = next((index for index, token in enumerate(row) if token in stop), len(row))
    return row[: end + 1]
