"""Tokens: a package's tokenizer, for texts of any origin."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path

from tokenizers import Tokenizer

from vlmforge.errors import PackageError, RunError, is_failure
from vlmforge.prompt.quoting import Piece


def load_tokenizer(package_dir: Path) -> Tokenizer:
    """The package's tokenizer, without truncation or padding.

    Raises:
        PackageError: ``tokenizer.json`` is missing or malformed.
    """
    path = package_dir / "tokenizer.json"
    try:
        tokenizer = Tokenizer.from_file(str(path))
    except BaseException as error:  # the tokenizers library raises bare Exception, and panics
        if not is_failure(error):
            raise
        raise PackageError(
            f"the tokenizer cannot be read: {error}", where=path, mend="copy the package again"
        ) from error
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


class Tokens:
    """Encodes texts, those that users wrote and those of templates.

    Args:
        tokenizer: of the package.
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer

    def encode(self, text: str) -> list[int]:
        """The tokens of a text, special tokens within it included, and none around it.

        Raises:
            RunError: the tokenizer fails.
        """
        with _told():
            return list(self._tokenizer.encode(text, add_special_tokens=False).ids)

    def encode_pieces(self, pieces: list[Piece]) -> list[int]:
        """The tokens of a prompt; quoted special tokens are text.

        Raises:
            RunError: the tokenizer fails, or gives a quoted special token as itself.
        """
        ids: list[int] = []
        for index, piece in enumerate(pieces):
            if piece.quoted:
                ids += self._quoted(piece.text)
            elif index == 0:
                ids += self.encode(piece.text)
            else:
                ids += self._following(self.encode, piece.text)
        return ids

    @cached_property
    def around(self) -> tuple[list[int], list[int]]:
        """The tokens that the tokenizer puts before and behind every text."""
        with _told():
            encoded = self._tokenizer.encode("a")
        added = encoded.special_tokens_mask
        inner = [at for at, is_added in enumerate(added) if not is_added] or [len(added)]
        return list(encoded.ids[: inner[0]]), list(encoded.ids[inner[-1] + 1 :])

    @cached_property
    def longest(self) -> int:
        """Most characters of a token."""
        return max(map(len, self._tokenizer.get_vocab()), default=1)

    def _quoted(self, token: str) -> list[int]:
        ids = self._following(self._plain, token)
        if self._tokenizer.token_to_id(token) in ids:
            raise RunError(
                f"the tokenizer cannot read {token!r} as text",
                mend="leave it out, or open the session with special_tokens_in_text=True",
            )
        return ids

    def _plain(self, text: str) -> list[int]:
        """The tokens of a text without looking for special tokens in it."""
        normalizer, splitter = self._tokenizer.normalizer, self._tokenizer.pre_tokenizer
        with _told():
            text = normalizer.normalize_str(text) if normalizer is not None else text
            words = splitter.pre_tokenize_str(text) if splitter is not None else [(text, None)]
            return [token.id for word, _ in words for token in self._tokenizer.model.tokenize(word)]

    def _following(self, encode: Callable[[str], list[int]], text: str) -> list[int]:
        """The tokens of a text behind others: some tokenizers begin a text with a space."""
        newline, ids = self.encode("\n"), encode("\n" + text)
        if ids[: len(newline)] == newline:
            return ids[len(newline) :]
        return encode(text)


@contextmanager
def _told() -> Iterator[None]:
    """A failure of the tokenizer becomes a :class:`RunError`, its panics too."""
    try:
        yield
    except BaseException as error:
        if not is_failure(error):
            raise
        raise RunError(
            f"the text cannot be tokenized: {str(error)[:200]}",
            mend="shorten it; very long runs of one character are hard for tokenizers",
        ) from error
