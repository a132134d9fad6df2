"""Windows: the pieces of a text a model reads, and the tokens it is judged by in each."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer

from vlmforge.errors import RunError
from vlmforge.formats.plain_text import pieces, read_text
from vlmforge.prompt.tokens import Tokens


@dataclass(frozen=True)
class Window:
    """A run of tokens that a model reads from an empty context.

    Attributes:
        token_ids: int64 ``[n]``.
        first: the first row that counts. Row t predicts token t + 1; rows
            ``first … n − 2`` count.
    """

    token_ids: np.ndarray
    first: int

    @property
    def counted(self) -> int:
        """Tokens whose prediction counts."""
        return len(self.token_ids) - 1 - self.first


@dataclass(frozen=True)
class Windowing:
    """How texts are cut.

    Attributes:
        context: tokens of a window; the last of a text may be shorter.
        stride: tokens from the beginning of a window to that of the next, 1 to ``context``;
            ``context`` by default.
        min_context: a token counts only behind at least so many tokens of its window.
        max_tokens: how many tokens are read of all texts together; all by default.
    """

    context: int = 512
    stride: int | None = None
    min_context: int = 1
    max_tokens: int | None = None

    def __post_init__(self) -> None:
        if self.context < 2 or not 1 <= self.step <= self.context:
            raise RunError(
                f"windows of {self.context} tokens, {self.step} apart, skip tokens or predict none",
                mend="choose a context of 2 or more, and a stride from 1 to the context",
            )
        if not 1 <= self.min_context < self.context:
            raise RunError(
                f"no token has {self.min_context} tokens before it in {self.context}",
                mend="choose a smaller --min-context",
            )

    @property
    def step(self) -> int:
        """The stride."""
        return self.context if self.stride is None else self.stride

    def cut(self, texts: Iterable[np.ndarray]) -> list[Window]:
        """The windows of tokenized texts, int64 ``[tokens]`` each; none spans two texts.

        Every token counts at most once, in the first window that has ``min_context`` tokens
        before it. With the default stride, the first token of each window never counts.

        Raises:
            RunError: no token counts.
        """
        left = self.max_tokens
        windows: list[Window] = []
        for ids in texts:
            windows += self._of_text(ids[:left])
            left = None if left is None else left - len(ids[:left])
        if not windows:
            raise RunError(
                "the texts are too short: there is no token to predict",
                mend="give longer texts, or a smaller --min-context",
            )
        return windows

    def _of_text(self, ids: np.ndarray) -> Iterator[Window]:
        counted_to = 0
        for begin in range(0, len(ids), self.step):
            end = min(begin + self.context, len(ids))
            first = max(counted_to, begin + self.min_context)
            if first < end:
                yield Window(ids[begin:end], first - begin - 1)
                counted_to = end
            if end == len(ids):
                return


def read_texts(tokenizer: Tokenizer, files: Iterable[Path | str]) -> list[np.ndarray]:
    """The tokens of UTF-8 files, int64 ``[tokens]`` each, without special tokens around them.

    Raises:
        FormatError: a file cannot be read, or is not UTF-8.
        RunError: a text cannot be tokenized.
    """
    return [_tokens(tokenizer, file) for file in files]


def _tokens(tokenizer: Tokenizer, file: Path | str) -> np.ndarray:
    read = map(Tokens(tokenizer).encode, pieces(read_text(file)))
    return np.fromiter(chain.from_iterable(read), np.int64)
