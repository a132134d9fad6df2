"""Grammar: the texts that an answer may be, and which tokens may come next."""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from llguidance import LLMatcher, LLTokenizer
from tokenizers import Tokenizer

from vlmforge.errors import RunError

LARGEST = 1 << 20
"""Characters of a grammar's definition."""

SPACING = {
    "x-guidance": {
        "whitespace_flexible": False,
        "item_separator": ", ",
        "key_separator": ": ",
        "lenient": False,
    }
}
"""How llguidance is told, within a schema, to have JSON written."""


@cache
def _masks(process: int) -> ThreadPoolExecutor:
    """What computes masks; a forked process has none of its parent's threads."""
    return ThreadPoolExecutor(max_workers=1, thread_name_prefix="vlmforge-grammar")


@dataclass(frozen=True)
class Grammar:
    """The texts that an answer may be.

    Masks of tokens are computed by llguidance, which reads JSON schemas itself and keeps no table
    of the vocabulary for each grammar.

    Attributes:
        definition: a grammar as llguidance takes it.
    """

    definition: str

    @staticmethod
    def json_schema(schema: Mapping[str, Any]) -> Grammar:
        """JSON values that fit a schema (JSON Schema 2020-12, as far as llguidance knows it).

        They are written as Python's ``json.dumps`` does, so that no answer consists of spaces.
        """
        return Grammar(LLMatcher.grammar_from_json_schema(schema_text(schema)))

    @staticmethod
    def json_object() -> Grammar:
        """Any JSON object."""
        return Grammar.json_schema({"type": "object"})

    @staticmethod
    def regex(pattern: str) -> Grammar:
        """Texts that match a regular expression, in the syntax of Rust's ``regex``, as a whole."""
        return Grammar(LLMatcher.grammar_from_regex(pattern))

    @staticmethod
    def lark(source: str) -> Grammar:
        """Texts of a grammar in llguidance's dialect of Lark."""
        return Grammar(LLMatcher.grammar_from_lark(source))

    def check(self) -> None:
        """Raise :class:`RunError` if it is malformed, too large, or uses what is not known."""
        self.require_small()
        if said := LLMatcher.validate_grammar(self.definition):
            raise _unusable(said)

    def require_small(self) -> None:
        """Raise :class:`RunError` if it is too large."""
        if len(self.definition) > LARGEST:
            raise RunError(
                f"the grammar has {len(self.definition)} characters, at most {LARGEST} are read",
                mend="give a smaller schema",
            )


def schema_text(schema: Mapping[str, Any]) -> str:
    """A schema as llguidance takes it, in :meth:`Grammar.lark` behind ``%json``."""
    return json.dumps({**schema, **SPACING})


class Vocabulary:
    """The tokens of a package as grammars see them. May be used from several threads.

    Args:
        tokenizer: of the package.
        size: how many tokens have logits.
        stop_tokens: end an answer.
    """

    def __init__(self, tokenizer: Tokenizer, size: int, stop_tokens: Collection[int]) -> None:
        size = max(size, tokenizer.get_vocab_size(with_added_tokens=True))
        self._tokens = LLTokenizer(
            tokenizer.to_str(), n_vocab=size, eos_token=sorted(stop_tokens) or None
        )

    def spelled(self, token: int) -> bytes:
        """What a token adds to a text, also if that is part of a character."""
        return self._tokens.decode_bytes([token])

    def constraint(self, grammar: Grammar) -> Constraint:
        """A new beginning of a text of ``grammar``.

        Raises:
            RunError: the grammar is malformed, too large, or uses what is not known.
        """
        grammar.require_small()
        matcher = LLMatcher(self._tokens, grammar.definition, log_level=0)
        if matcher.is_error():
            raise _unusable(matcher.get_error())
        return Constraint(matcher)


class Constraint:
    """Where an answer stands in its grammar; one constraint serves one answer.

    The mask of a token is computed while the machine runs the one before it.

    Args:
        matcher: at the beginning.
    """

    def __init__(self, matcher: LLMatcher) -> None:
        self._matcher = matcher
        self._prepare()

    @property
    def complete(self) -> bool:
        """Whether nothing may follow but the end."""
        return bool(self._matcher.is_stopped())

    def allowed(self, logits: np.ndarray) -> np.ndarray:
        """Logits, float32 ``[vocab]``, with those of tokens that may not come next at -inf.

        Raises:
            RunError: the grammar takes more work than is allowed.
        """
        bits = np.frombuffer(self._mask.result(), np.uint8)
        self._check()
        mask = np.unpackbits(bits, count=logits.size, bitorder="little")
        return np.where(mask, logits, np.float32(-np.inf))

    def accept(self, token: int) -> None:
        """Go on behind a token that was allowed."""
        self._matcher.consume_token(token)
        self._check()
        if not self.complete:
            self._prepare()

    def _prepare(self) -> None:
        self._mask = _masks(os.getpid()).submit(self._matcher.compute_bitmask)

    def _check(self) -> None:
        if self._matcher.is_error():
            said = self._matcher.get_error()
            raise _refused("the grammar cannot be followed", said, "give a simpler schema")


def _unusable(said: str) -> RunError:
    return _refused("the grammar cannot be used", said, "see docs/running.md#structured-output")


def _refused(what: str, said: str, mend: str) -> RunError:
    return RunError(f"{what}: {said.strip().partition(chr(10))[0][:500]}", mend=mend)
