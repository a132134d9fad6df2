"""The sequences of a batch, read side by side, with the padding left out."""

from __future__ import annotations

import numpy as np
import torch

from vlmforge.decode.context import Context
from vlmforge.decode.inputs import Inputs
from vlmforge.decode.reading import Reading, read_all
from vlmforge.integrations.transformers.cache import MobilintCache


def read_batch(
    cache: MobilintCache, inputs: list[Inputs], mask: np.ndarray, wanted: np.ndarray
) -> list[np.ndarray]:
    """Read a batch, equal sequences once; the logits of each row, float32 ``[wanted, vocab]``."""
    first: dict[object, int] = {}
    same = [
        first.setdefault(_identity(*row), at)
        for at, row in enumerate(zip(cache.contexts, inputs, mask, strict=True))
    ]
    readings = {
        at: Reading(cache.contexts[at], inputs[at], _span(mask[at], wanted))
        for at in first.values()
    }
    logits = dict(zip(readings, read_all(list(readings.values())), strict=True))
    for row, of in enumerate(same):
        if row != of:
            cache.share(row, of)
    return [_scatter(logits[of], mask[of], wanted) for of in same]


def _identity(context: Context, inputs: Inputs, keep: np.ndarray) -> object:
    """Equal for sequences that begin now and read the same in the same places."""
    if context.length > 0:
        return id(context)
    return inputs.keys.tobytes(), keep.tobytes()


def _from_end(keep: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """The tokens at or before the wanted positions, counted from the end: 1 is the last.

    Padding behind a token stands for that token, so that a sequence padded on the right goes on
    where it ended; padding before all tokens is left out.
    """
    passed = np.cumsum(keep)[wanted]
    return keep.sum() + 1 - passed[passed > 0]


def _span(keep: np.ndarray, wanted: np.ndarray) -> int:
    """How many last tokens the wanted ones are among."""
    return int(_from_end(keep, wanted).max(initial=1))


def _scatter(rows: np.ndarray, keep: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Logits of the last tokens at the wanted positions, ``[wanted, vocab]``, zero before all."""
    logits = np.zeros((len(wanted), rows.shape[1]), np.float32)
    logits[np.cumsum(keep)[wanted] > 0] = rows[-_from_end(keep, wanted)]
    return logits


def token_mask(input_ids: torch.Tensor, attention_mask: torch.Tensor | None) -> np.ndarray:
    """bool ``[batch, seq]``, false at padding."""
    if attention_mask is None:
        return np.ones(tuple(input_ids.shape), bool)
    return attention_mask[:, -input_ids.shape[1] :].cpu().numpy().astype(bool)


def positions(length: int, logits_to_keep: int | torch.Tensor) -> np.ndarray:
    """int64 indexes of the positions whose logits are wanted."""
    if isinstance(logits_to_keep, int):
        return np.arange(length)[-logits_to_keep:]
    return np.arange(length)[logits_to_keep.cpu().numpy()]
