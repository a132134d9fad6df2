"""TextStream: tokens become text as they arrive."""

from __future__ import annotations

from tokenizers import Tokenizer

INCOMPLETE = "\ufffd"
"""What decoding shows for bytes that are not, or not yet, a character."""


class TextStream:
    """Decodes a growing sequence; what it has given out never changes.

    A character may be spread over several tokens. Text is given out only up to the last
    complete character, and the texts given out concatenate to the decoded sequence.

    Args:
        tokenizer: special tokens decode to nothing.
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self._ids: list[int] = []
        self._given = 0

    def push(self, token_id: int) -> str:
        """The text the token completes, often of earlier tokens too; perhaps empty."""
        self._ids.append(token_id)
        text = self._pending()
        if text.endswith(INCOMPLETE):
            return ""
        self._ids, self._given = self._ids[self._given :], len(self._ids) - self._given
        return text

    def flush(self) -> str:
        """The text of tokens still held back, at the end of the sequence."""
        text = self._pending()
        self._given = len(self._ids)
        return text

    def _pending(self) -> str:
        """The text after the tokens given out, which stay as context for the decoder."""
        given = self._tokenizer.decode(self._ids[: self._given])
        return self._tokenizer.decode(self._ids)[len(given) :]
