"""Conversation: a dialogue with a session."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from vlmforge.run.generate import Generation, Options, Step, collect, generate
from vlmforge.run.reading import fill
from vlmforge.run.session import Session
from vlmforge.run.template import Message


class Conversation:
    """A dialogue whose KV cache is kept from turn to turn.

    Every call takes all messages; what they share with the previous call is not run again.
    """

    def __init__(self, session: Session) -> None:
        self.session = session
        self._context = session.new_context()

    def stream(self, messages: Sequence[Message], options: Options | None = None) -> Iterator[Step]:
        """Answer the messages token by token.

        Raises:
            RunError: the messages are malformed or longer than the session's maximum length.
        """
        logits = fill(self._context, self.session.inputs(messages))[0]
        decoder = self.session.new_decoder(options or Options(), self._context.length)
        yield from generate(self._context, logits, decoder)

    def generate(
        self,
        messages: Sequence[Message],
        options: Options | None = None,
        on_text: Callable[[str], None] | None = None,
    ) -> Generation:
        """Answer the messages; ``on_text`` receives the text piece by piece as it arrives."""
        return collect(self.stream(messages, options), on_text)

    def teacher_forced(self, messages: Sequence[Message], answer: Sequence[int]) -> np.ndarray:
        """Logits that precede each token of a given answer, float32 ``[len(answer), vocab]``."""
        given = np.array(answer[:-1], np.int64)
        inputs = self.session.inputs(messages).followed_by(given)
        return fill(self._context, inputs, logits=len(answer))
