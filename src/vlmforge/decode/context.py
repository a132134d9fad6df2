"""Context: a KV cache and the tokens it holds."""

from __future__ import annotations

import numpy as np

from vlmforge.decode.deepstack import Deepstack
from vlmforge.decode.inputs import NO_ROWS, Inputs, common_length
from vlmforge.errors import LengthError, RunError
from vlmforge.machine.machine import Machine, Request
from vlmforge.prompt.positions import position_after, positions_kind, positions_of
from vlmforge.prompt.spans import Span, whole


class Context:
    """The tokens a text machine has read.

    Args:
        machine: of the text program.
        embeddings: float32 ``[vocab, hidden]``.
        capacity: most tokens held.

    Raises:
        RunError: the program has positions of an unknown kind, or a smaller cache.
    """

    def __init__(self, machine: Machine, embeddings: np.ndarray, capacity: int) -> None:
        self.machine, self.embeddings, self.capacity = machine, embeddings, capacity
        self.positions = positions_kind(machine.program.meta)
        self._deepstack = Deepstack.of(machine.program)
        self.length = 0
        self._spans: list[Span] = []
        self._cache = machine.new_cache(capacity)
        self._token_ids = np.empty(capacity, np.int64)
        self._keys = np.empty(capacity, np.int64)

    @property
    def token_ids(self) -> np.ndarray:
        """int64 ``[length]``."""
        return self._token_ids[: self.length]

    @property
    def keys(self) -> np.ndarray:
        """int64 ``[length]``, see :attr:`Inputs.keys`."""
        return self._keys[: self.length]

    @property
    def spans(self) -> tuple[Span, ...]:
        """The images and videos, ascending; of the last a part may be missing."""
        return tuple(self._spans)

    def whole(self, length: int) -> int:
        """The longest cut of at most ``length`` tokens that parts no image."""
        return whole(self._spans, min(length, self.length))

    def truncate(self, length: int) -> int:
        """Forget all but the first ``length`` tokens; the length kept.

        An image is kept whole or not at all, so less may be kept.
        """
        kept = self.whole(max(0, length))
        self._cache.truncate(kept)
        self._spans = [span for span in self._spans if span.stop <= kept]
        self.length = kept
        return kept

    def keep(self, inputs: Inputs, most: int) -> int:
        """Forget all but what ``inputs`` begin with, at most ``most`` tokens; the length kept."""
        return self.truncate(min(common_length(self.keys, inputs.keys), most))

    def positions_of(self, inputs: Inputs) -> np.ndarray:
        """Positions of tokens that follow, int64 ``[3, seq]``.

        Raises:
            RunError: there are none, more than there is room for, one has no embedding, or a part
                of an image is held.
        """
        require_room(len(inputs), self.length, self.capacity)
        require_embedded(inputs.token_ids, len(self.embeddings))
        if self.whole(self.length) != self.length:
            raise RunError("a part of an image has been read", mend="truncate the context first")
        start = position_after(self.positions, self.length, self._spans)
        return positions_of(self.positions, len(inputs), inputs.spans, start)

    def request(self, inputs: Inputs, positions: np.ndarray, wanted: np.ndarray) -> Request:
        """What the machine has to run to read tokens; :meth:`advance` when it has.

        Args:
            inputs: the tokens.
            positions: int64 ``[3, seq]``, theirs.
            wanted: int64 ``[logits]``, the rows whose logits are wanted.
        """
        self.machine.program.guard()
        embeds = self.embeddings[inputs.token_ids]
        feeds = self._deepstack.feeds(embeds, inputs.keys < 0, inputs.rows)
        feeds |= {"position_ids": positions, "logits_index": wanted}
        return Request(feeds, self._cache)

    def advance(self, inputs: Inputs) -> None:
        """Take note of tokens that are in the KV cache."""
        added = slice(self.length, self.length + len(inputs))
        self._token_ids[added], self._keys[added] = inputs.token_ids, inputs.keys
        self._spans += [span.moved(self.length) for span in inputs.spans if span.start >= 0]
        self.length = added.stop

    def rows(self, start: int, stop: int) -> np.ndarray:
        """What is cached of tokens ``[start, stop)``, int8 ``[stop - start, row]``."""
        return self._cache.read(start, stop)

    def adopt(self, inputs: Inputs, rows: np.ndarray) -> None:
        """Hold further tokens, which are not run: another context has read them in this place.

        Args:
            inputs: the tokens; image features are not needed.
            rows: int8 ``[seq, row]``, what that context's :meth:`rows` gave.

        Raises:
            RunError: the rows are of another program or number, or there is no room.
        """
        require_room(len(inputs), self.length, self.capacity)
        require_embedded(inputs.token_ids, len(self.embeddings))
        if len(rows) != len(inputs):
            raise RunError(f"{len(rows)} rows for {len(inputs)} tokens", mend="pass one a token")
        self._cache.append(rows)
        self.advance(inputs)

    def fork(self) -> Context:
        """A context that holds the same and goes its own way."""
        other = Context(self.machine, self.embeddings, self.capacity)
        if self.length:
            held = Inputs(self.token_ids, self.keys, NO_ROWS, self.spans)
            other.adopt(held, self.rows(0, self.length))
        return other


def require_embedded(token_ids: np.ndarray, vocabulary: int) -> None:
    """Raise :class:`RunError` unless every token, int64 ``[n]``, has one of the embeddings."""
    outside = token_ids[(token_ids < 0) | (token_ids >= vocabulary)]
    if outside.size:
        raise RunError(
            f"the token {outside[0]} is outside 0 to {vocabulary - 1}, which have embeddings",
            mend="use the tokenizer that belongs to the package, or build the package again",
        )


def require_room(new: int, held: int, capacity: int) -> None:
    """Raise :class:`RunError` unless ``new`` tokens, at least one, fit behind ``held``."""
    if new == 0:
        raise RunError("there are no tokens to run", mend="give a prompt that is not empty")
    if held + new > capacity:
        raise LengthError(
            f"the sequence has {held + new} tokens, the maximum length is {capacity}",
            mend="shorten the conversation, or open the package with a larger max_length "
            "(at most the compiled cache length)",
        )
