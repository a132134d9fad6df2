"""Conversation: a dialogue with a session."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from vlmforge.decode import snapshot as snapshots
from vlmforge.decode.generate import Generation, Options, Step, collect, generate
from vlmforge.decode.inputs import Inputs
from vlmforge.decode.prefix import PrefixCache
from vlmforge.decode.prompt_read import PromptRead
from vlmforge.decode.reading import fill, read_all, refill
from vlmforge.formats.kv import Snapshot
from vlmforge.prompt.messages import Message, Tool
from vlmforge.run.session import Session


class Conversation:
    """A dialogue whose KV cache is kept from turn to turn.

    Every call takes all messages; what they share with the previous call is not run again.

    Args:
        session: the package.
        prefixes: of the session; what it holds of a prompt is not run, and prompts are added.
    """

    def __init__(self, session: Session, prefixes: PrefixCache | None = None) -> None:
        self.session, self._prefixes = session, prefixes
        self._context = session.new_context()

    def stream(
        self,
        messages: Sequence[Message],
        options: Options | None = None,
        tools: Sequence[Tool] = (),
    ) -> Iterator[Step]:
        """Answer the messages token by token.

        Args:
            messages: the conversation.
            options: how to answer.
            tools: what the answer may call, in the form that the chat template gives it.

        Raises:
            RunError: the messages are malformed or longer than the session's maximum length, or
                the chat template has no place for tools.
        """
        yield from self._stream(self.session.inputs(messages, tools), options or Options())

    def generate(
        self,
        messages: Sequence[Message],
        options: Options | None = None,
        on_text: Callable[[str], None] | None = None,
        tools: Sequence[Tool] = (),
    ) -> Generation:
        """Answer the messages; ``on_text`` receives the text piece by piece as it arrives."""
        return collect(self.stream(messages, options, tools), on_text)

    def _stream(self, inputs: Inputs, options: Options) -> Iterator[Step]:
        decoder = self.session.new_decoder(options, len(inputs))
        scores = options.scores(inputs.token_ids)
        reading = refill(self._context, inputs, 1, self._prefixes, scores)
        cached = self._context.length
        logits = read_all([reading])[0][0]
        if self._prefixes is not None:
            self._prefixes.remember(self._context)
        decoder.begin(PromptRead(len(inputs), cached, scores.found if scores else ()))
        yield from generate(self._context, logits, decoder)

    def teacher_forced(self, messages: Sequence[Message], answer: Sequence[int]) -> np.ndarray:
        """Logits that precede each token of a given answer, float32 ``[len(answer), vocab]``."""
        given = np.array(answer[:-1], np.int64)
        inputs = self.session.inputs(messages).followed_by(given)
        return fill(self._context, inputs, len(answer), self._prefixes)

    def fork(self) -> Conversation:
        """A conversation that has read the same and goes its own way."""
        other = Conversation(self.session, self._prefixes)
        other._context = self._context.fork()
        return other

    def snapshot(self) -> Snapshot:
        """What has been read so far, to be saved or restored; RunError if there is nothing."""
        return snapshots.take(self._context, self.session.package.fingerprint)

    def restore(self, snapshot: Snapshot) -> None:
        """Take up what a conversation with the same package had read.

        Raises:
            RunError: the snapshot is another package's, or too long for this session.
        """
        snapshots.restore(self._context, snapshot, self.session.package.fingerprint)
