"""MobilintCache: KV caches of a text program behind Hugging Face's cache interface."""

from __future__ import annotations

from collections.abc import Callable

import torch
from transformers import Cache

from vlmforge.decode.context import Context
from vlmforge.errors import RunError


class MobilintCache(Cache):
    """One context a sequence of the batch, created when the batch is first seen.

    Args:
        new_context: makes an empty context.
    """

    def __init__(self, new_context: Callable[[], Context]) -> None:
        super().__init__(layers=[])
        self.contexts: list[Context] = []
        self._new_context = new_context
        self._padded_length = 0

    def rows(self, batch: int) -> list[Context]:
        """The contexts of a batch of that size; RunError if the cache holds another batch."""
        if not self.contexts:
            self.contexts = [self._new_context() for _ in range(batch)]
        if len(self.contexts) != batch:
            raise RunError(
                f"the cache holds {len(self.contexts)} sequences, the inputs are {batch}",
                mend="use a new cache for another batch",
            )
        return self.contexts

    def advance(self, tokens: int) -> None:
        """Count tokens read by every sequence, padding included."""
        self._padded_length += tokens

    def get_seq_length(self, layer_idx: int = 0) -> int:
        """Tokens held by every sequence, padding included."""
        return self._padded_length

    def crop(self, tokens_to_remove: int | torch.Tensor) -> None:
        """Forget the last tokens of every sequence.

        Args:
            tokens_to_remove: minus how many; a positive number says how many to keep instead, as
                earlier versions of transformers have it, perhaps more than there are.

        Raises:
            RunError: an image would be parted.
        """
        asked = int(tokens_to_remove)
        kept = min(asked if asked > 0 else self._padded_length + asked, self._padded_length)
        removed = self._padded_length - kept
        lengths = [max(0, context.length - removed) for context in self.contexts]
        for context, length in zip(self.contexts, lengths, strict=True):
            if context.whole(length) != length:
                raise RunError("the cache cannot be cut within an image", mend="cut before it")
        for context, length in zip(self.contexts, lengths, strict=True):
            context.truncate(length)
        self._padded_length = kept

    def reset(self) -> None:
        """Forget everything."""
        self.contexts, self._padded_length = [], 0

    def share(self, row: int, of: int) -> None:
        """Let one sequence go on from what another has read."""
        self.contexts[row] = self.contexts[of].fork()

    def reorder_cache(self, beam_idx: torch.Tensor) -> None:
        """Let each sequence go on from that of the index, int64 ``[batch]``."""
        self.batch_select_indices(beam_idx)

    def batch_select_indices(self, indices: torch.Tensor) -> None:
        """Hold the sequences of the indexes, int64 ``[any]``; those named twice go apart."""
        rows = indices.tolist()
        self.contexts = [
            self.contexts[row].fork() if row in rows[:at] else self.contexts[row]
            for at, row in enumerate(rows)
        ]

    def batch_repeat_interleave(self, repeats: int) -> None:
        """Hold every sequence ``repeats`` times."""
        self.batch_select_indices(torch.arange(len(self.contexts)).repeat_interleave(repeats))

    @property
    def batch_size(self) -> int:
        """Sequences held, -1 before the first."""
        return len(self.contexts) or -1
