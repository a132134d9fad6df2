"""MobilintCache: KV caches of a text program behind Hugging Face's cache interface."""

from __future__ import annotations

from collections.abc import Callable

import torch
from transformers import Cache

from vlmforge.errors import RunError
from vlmforge.run.context import Context


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

    def crop(self, tokens_to_remove: int) -> None:
        """Forget the last tokens of every sequence."""
        for context in self.contexts:
            context.truncate(context.length - tokens_to_remove)
        self._padded_length -= tokens_to_remove

    def reset(self) -> None:
        """Forget everything."""
        self.contexts, self._padded_length = [], 0

    def reorder_cache(self, beam_idx: torch.Tensor) -> None:
        """Refuse: beams would need copies of the integer cache."""
        raise RunError("beam search is not supported", mend="generate with num_beams=1")

    batch_repeat_interleave = batch_select_indices = reorder_cache

    @property
    def batch_size(self) -> int:
        """Sequences held, -1 before the first."""
        return len(self.contexts) or -1
