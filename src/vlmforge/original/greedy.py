"""Greedy: the original decoder's answers to several questions at once."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Any

import torch
from torch import Tensor

from vlmforge.original.batch import Batch
from vlmforge.original.inputs import Embedded
from vlmforge.original.prefill import alike, joined

Decode = Callable[..., Any]
"""Embeddings, positions, mask, added features and a cache to hidden states and the next cache."""


class Greedy:
    """Writes the likeliest token after each sequence of a batch, until all answers have ended.

    Sequences that have ended leave the batch, so that nothing is computed for them.

    Args:
        questions: at least one.
        decode: transformers' output for ``(inputs_embeds, position_ids, mask, deepstack, cache)``.
        head: hidden states ``[questions, hidden]`` to logits.
        embed: int64 ``[questions, 1]`` to embeddings ``[questions, 1, hidden]``.
    """

    def __init__(
        self,
        questions: Sequence[Embedded],
        decode: Decode,
        head: Callable[[Tensor], Tensor],
        embed: Callable[[Tensor], Tensor],
    ) -> None:
        self.answers: list[list[int]] = [[] for _ in questions]
        self._decode, self._head, self._embed = decode, head, embed
        self._rows = list(range(len(questions)))
        self._questions, self._batch = questions, Batch.of(questions)
        self._cache: Any = None

    def write(
        self,
        stop: Collection[int],
        max_new_tokens: int,
        on_step: Callable[[int], None] | None = None,
    ) -> list[list[int]]:
        """The answers, each with its first token of ``stop`` at the end, if it came to one."""
        for step in range(1, max_new_tokens + 1):
            token_ids = self._next()
            for row, token in zip(self._rows, token_ids.tolist(), strict=True):
                self.answers[row].append(token)
            if on_step is not None:
                on_step(step)
            kept = [at for at, token in enumerate(token_ids.tolist()) if token not in stop]
            if not kept or step == max_new_tokens:
                break
            self._go_on(token_ids, kept)
        return self.answers

    def _next(self) -> Tensor:
        """The likeliest next token of each sequence, int64 ``[questions]``."""
        last = self._read() if self._cache is None else self._step(self._batch, self._cache)
        chosen: Tensor = self._head(last).argmax(-1).cpu()
        return chosen

    def _read(self) -> Tensor:
        """The last hidden state of each question, ``[questions, hidden]``."""
        states, caches, read = [], [], []
        for group in alike([each.length for each in self._questions]):
            states.append(self._step(Batch.of([self._questions[at] for at in group])))
            caches.append(self._cache)
            read += group
        order = [read.index(at) for at in self._rows]
        self._cache = joined(caches, order)
        return torch.cat(states)[order]

    def _step(self, batch: Batch, cache: Any = None) -> Tensor:
        """The last hidden state of each sequence; the cache then holds what was read."""
        output = self._decode(
            batch.inputs_embeds, batch.position_ids, batch.mask, batch.deepstack, cache
        )
        self._cache = output.past_key_values
        state: Tensor = output.last_hidden_state[:, -1]
        return state

    def _go_on(self, token_ids: Tensor, kept: list[int]) -> None:
        """The batch of the next step: one token of each sequence that has not ended."""
        before = self._batch
        position_ids, mask = before.position_ids, before.mask
        if len(kept) < len(self._rows):
            places = torch.tensor(kept)
            self._rows = [self._rows[at] for at in kept]
            token_ids, mask = token_ids[places], mask[places]
            position_ids = position_ids[:, places]
            self._cache.batch_select_indices(places)
        after = position_ids.amax((0, 2), keepdim=True) + 1
        self._batch = Batch(
            self._embed(token_ids[:, None]),
            after.expand(3, -1, -1),
            torch.cat([mask, torch.ones_like(mask[:, :1])], 1),
            (),
        )
