"""Reading: tokens that a context has yet to read, chunk by chunk, alone or beside others."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from vlmforge.decode.context import Context, require_room
from vlmforge.decode.inputs import Inputs
from vlmforge.decode.prefix import PrefixCache
from vlmforge.decode.prompt_read import PromptScores
from vlmforge.machine.machine import Request

CHUNK = 256
"""Tokens run at once; bounds the memory of activations, never changes a bit."""


class Reading:
    """Tokens on their way into a context.

    Args:
        context: extended as chunks are accepted; nothing else may change it meanwhile.
        inputs: the tokens.
        logits: how many of the last positions' logits are wanted.
        scores: takes the logits of all positions, if there is any.

    Raises:
        RunError: ``inputs`` is empty or does not fit behind the tokens already held.
    """

    def __init__(
        self,
        context: Context,
        inputs: Inputs,
        logits: int = 1,
        scores: PromptScores | None = None,
    ) -> None:
        self.context = context
        self._inputs, self._positions = inputs, context.positions_of(inputs)
        self._first_wanted = 0 if scores is not None else len(inputs) - logits
        self._scores = scores
        self._start = 0
        self._chunk = inputs
        self._logits: list[np.ndarray] = []

    @property
    def left(self) -> int:
        """Tokens not yet read."""
        return len(self._inputs) - self._start

    @property
    def logits(self) -> np.ndarray:
        """float32 ``[logits, vocab]``, once nothing is left; one row where scores take all."""
        return self._logits[0] if len(self._logits) == 1 else np.concatenate(self._logits)

    def request(self, most: int) -> Request:
        """What the machine has to run to read the next ``most`` tokens."""
        start, stop = self._start, self._start + min(most, self.left)
        wanted = np.arange(max(self._first_wanted, start), stop) - start
        self._chunk = self._inputs.slice(start, stop)
        return self.context.request(self._chunk, self._positions[:, start:stop], wanted)

    def accept(self, outputs: Mapping[str, np.ndarray]) -> None:
        """Take note that the machine has run the last request."""
        self.context.advance(self._chunk)
        self._start += len(self._chunk)
        logits = outputs[self.context.machine.program.outputs[0]]
        if self._scores is None:
            self._logits.append(logits)
        else:
            self._scores.add(logits)
            self._logits = [logits[-1:]]


Share = tuple[Reading, int]
"""A reading and how many of its tokens the next run reads."""


def share(readings: Iterable[Reading], tokens: int) -> list[Share]:
    """Divide a run's ``tokens`` among readings, first come, first served."""
    shares: list[Share] = []
    for reading in readings:
        if tokens == 0:
            break
        if reading.left:
            shares.append((reading, min(reading.left, tokens)))
            tokens -= shares[-1][1]
    return shares


def read(shares: Sequence[Share]) -> None:
    """Run one batch, of contexts of one machine; on a failure none of them has changed."""
    requests = [reading.request(tokens) for reading, tokens in shares]
    batch = shares[0][0].context.machine.run_batch(requests)
    for (reading, _), outputs in zip(shares, batch, strict=True):
        reading.accept(outputs)


def read_all(readings: Sequence[Reading]) -> list[np.ndarray]:
    """Read everything, side by side; the logits of each, float32 ``[logits, vocab]``."""
    while shares := share(readings, CHUNK):
        read(shares)
    return [reading.logits for reading in readings]


def extend(context: Context, inputs: Inputs, logits: int = 1) -> np.ndarray:
    """Read further tokens into one context.

    Returns:
        float32 ``[logits, vocab]``, of the last positions.

    Raises:
        RunError: ``inputs`` is empty or does not fit behind the tokens already held.
    """
    return read_all([Reading(context, inputs, logits)])[0]


def fill(
    context: Context, inputs: Inputs, logits: int = 1, prefixes: PrefixCache | None = None
) -> np.ndarray:
    """Let a context hold exactly ``inputs``, running only what nobody has cached.

    Args:
        context: what it holds of a beginning of ``inputs`` is kept.
        inputs: the tokens.
        logits: how many of the last positions' logits are wanted.
        prefixes: where to look for more of the beginning, and where to remember the whole.

    Returns:
        float32 ``[logits, vocab]``, of the last positions.

    Raises:
        RunError: ``inputs`` is empty or longer than the capacity.
    """
    filled = read_all([refill(context, inputs, logits, prefixes)])[0]
    if prefixes is not None:
        prefixes.remember(context)
    return filled


def refill(
    context: Context,
    inputs: Inputs,
    logits: int = 1,
    prefixes: PrefixCache | None = None,
    scores: PromptScores | None = None,
) -> Reading:
    """What a context has yet to read until it holds exactly ``inputs``; with scores, all of them.

    Raises:
        RunError: ``inputs`` is empty or longer than the capacity; the context has not changed.
    """
    require_room(len(inputs), 0, context.capacity)
    if scores is not None:
        context.truncate(0)
        return Reading(context, inputs, scores=scores)
    most = len(inputs) - logits
    kept = context.keep(inputs, most)
    if prefixes is not None:
        kept = prefixes.restore(context, inputs, most)
    return Reading(context, inputs.slice(kept, len(inputs)), logits)
