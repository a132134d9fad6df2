"""Context: a KV cache, what it holds, and the text program that extends it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import repeat

import numpy as np

from vlmforge.errors import RunError
from vlmforge.run.machine import Machine
from vlmforge.run.positions import rope_index
from vlmforge.run.vision import ImageFeatures

CHUNK = 256
"""Tokens prefilled at once; bounds the memory of activations, never changes a bit."""


@dataclass(frozen=True)
class Inputs:
    """Tokens with their image features.

    Attributes:
        token_ids: int64 ``[seq]``.
        keys: int64 ``[seq]``, the identity of each position: the token id, or the negative
            :attr:`ImageFeatures.key` where the token stands for a part of an image.
        rows: float32 ``[image tokens, hidden]``, the features of all images.
    """

    token_ids: np.ndarray
    keys: np.ndarray
    rows: np.ndarray

    @staticmethod
    def of(token_ids: np.ndarray, image_token_id: int, images: Sequence[ImageFeatures]) -> Inputs:
        """Token ids joined with the images they have room for; RunError if the room differs."""
        is_image = token_ids == image_token_id
        rows = np.concatenate([i.rows for i in images]) if images else np.empty((0, 0), np.float32)
        if is_image.sum() != len(rows):
            raise RunError(
                f"{is_image.sum()} image tokens for {len(rows)} rows of image features",
                mend="process text and images together, with the package's own processor",
            )
        keys = token_ids.copy()
        if images:
            keys[is_image] = np.concatenate([np.full(len(i.rows), i.key) for i in images])
        return Inputs(token_ids, keys, rows)

    @staticmethod
    def plain(token_ids: np.ndarray) -> Inputs:
        """Tokens none of which stands for an image, such as those a model generated."""
        return Inputs(token_ids, token_ids, np.empty((0, 0), np.float32))

    def __len__(self) -> int:
        return self.token_ids.size

    def slice(self, start: int, stop: int) -> Inputs:
        """Positions ``[start, stop)``."""
        before, within = (self.keys[:start] < 0).sum(), (self.keys[start:stop] < 0).sum()
        rows = self.rows[before : before + within]
        return Inputs(self.token_ids[start:stop], self.keys[start:stop], rows)


class Context:
    """The tokens a text machine has read.

    Args:
        machine: of the text program.
        embeddings: float32 ``[vocab, hidden]``.
        grid: rows and columns of image tokens of every image.
        capacity: most tokens held.
    """

    def __init__(
        self, machine: Machine, embeddings: np.ndarray, grid: tuple[int, int], capacity: int
    ) -> None:
        self.machine, self.embeddings = machine, embeddings
        self.grid, self.capacity = grid, capacity
        self.length = 0
        self._cache = machine.new_cache(capacity)
        self._token_ids = np.empty(capacity, np.int64)
        self._keys = np.empty(capacity, np.int64)
        self._positions = np.empty((3, capacity), np.int64)

    @property
    def token_ids(self) -> np.ndarray:
        """int64 ``[length]``."""
        return self._token_ids[: self.length]

    def truncate(self, length: int) -> int:
        """Forget all but the first ``length`` tokens; the length kept.

        An image is kept whole or not at all, so less may be kept.
        """
        length = min(length, self.length)
        while 0 < length < self.length and self._splits_image(length):
            length -= 1
        self._cache.truncate(length)
        self.length = length
        return length

    def fill(self, inputs: Inputs, logits: int = 1) -> np.ndarray:
        """Hold exactly ``inputs``, running only what differs from the tokens already held.

        Returns:
            float32 ``[logits, vocab]``, of the last positions.

        Raises:
            RunError: ``inputs`` is empty or longer than the capacity.
        """
        self._check_room(len(inputs), 0)
        common = min(self.length, len(inputs))
        differs = np.flatnonzero(self._keys[:common] != inputs.keys[:common])
        common = int(differs[0]) if differs.size else common
        kept = self.truncate(max(0, min(common, len(inputs) - logits)))
        return self.extend(inputs.slice(kept, len(inputs)), logits)

    def extend(self, inputs: Inputs, logits: int = 1) -> np.ndarray:
        """Read further tokens.

        Returns:
            float32 ``[logits, vocab]``, of the last positions.

        Raises:
            RunError: ``inputs`` is empty or does not fit behind the tokens already held.
        """
        total = len(inputs)
        self._check_room(total, self.length)
        start = int(self._positions[:, : self.length].max(initial=-1)) + 1
        positions, _ = rope_index(inputs.keys < 0, repeat(self.grid), start)
        parts = []
        for first in range(0, total, CHUNK):
            stop = min(first + CHUNK, total)
            wanted = np.arange(max(total - logits, first), stop) - first
            parts.append(self._run(inputs.slice(first, stop), positions[:, first:stop], wanted))
        return np.concatenate(parts)

    def _run(self, inputs: Inputs, positions: np.ndarray, wanted: np.ndarray) -> np.ndarray:
        """Run one chunk; the logits of its rows ``wanted``, float32 ``[wanted, vocab]``."""
        embeds = self.embeddings[inputs.token_ids]
        if inputs.rows.size:
            embeds[inputs.keys < 0] = inputs.rows
        feeds = {"inputs_embeds": embeds[None], "position_ids": positions, "logits_index": wanted}
        outputs = self.machine.run(feeds, self._cache)
        span = slice(self.length, self.length + len(inputs))
        self._token_ids[span], self._keys[span] = inputs.token_ids, inputs.keys
        self._positions[:, span] = positions
        self.length = span.stop
        return outputs[self.machine.program.outputs[0]]

    def _splits_image(self, length: int) -> bool:
        """Whether a cut at ``length`` parts an image (two equal images side by side count)."""
        return bool(self._keys[length] < 0 and self._keys[length - 1] == self._keys[length])

    def _check_room(self, new: int, held: int) -> None:
        if new == 0:
            raise RunError("there are no tokens to run", mend="give a prompt that is not empty")
        if held + new > self.capacity:
            raise RunError(
                f"the sequence has {held + new} tokens, the maximum length is {self.capacity}",
                mend="shorten the conversation, or open the session with a larger max_length "
                "(at most the compiled cache length)",
            )
