"""The JSON schema that a file holds, as a grammar of answers."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from vlmforge.errors import FormatError, RunError, SystemFailure
from vlmforge.formats.document import parse_object

if TYPE_CHECKING:
    from vlmforge.decode.grammar import Grammar


def read_grammar(path: Path) -> Grammar:
    """The grammar of JSON values that fit the schema in a file.

    Raises:
        SystemFailure: the file cannot be read.
        FormatError: it holds no JSON object, or no schema that can be used.
    """
    from vlmforge.decode.grammar import Grammar

    try:
        data = path.read_bytes()
    except OSError as error:
        raise SystemFailure.of(error, path) from error
    grammar = Grammar.json_schema(parse_object(data, "the schema", path))
    try:
        grammar.check()
    except RunError as error:
        raise FormatError(error.what, where=path, mend=error.mend) from error
    return grammar
