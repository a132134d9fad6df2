"""JSON documents from files that may be hostile."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from vlmforge.errors import FormatError

MEND = "the file is damaged or not of this project: write or download it again"


class Document(BaseModel):
    """The structure of a document: exact types, no unknown keys."""

    model_config = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False)


Structure = TypeVar("Structure", bound=Document)


def refuse(what: str, path: Path) -> FormatError:
    """The error that says what is wrong with a file."""
    return FormatError(what, where=path, mend=MEND)


def parse_object(data: bytes | str, what: str, path: Path) -> dict[str, Any]:
    """The JSON object in ``data``; duplicate keys and NaN are refused.

    Raises:
        FormatError: ``what`` of the file ``path`` is no such object.
    """
    try:
        text = data if isinstance(data, str) else data.decode("utf-8")
        value = json.loads(
            text, object_pairs_hook=_unique, parse_constant=_finite, parse_float=_finite
        )
    except (ValueError, RecursionError) as error:
        raise refuse(f"{what} is not valid JSON: {error}", path) from error
    if not isinstance(value, dict):
        raise refuse(f"{what} is not a JSON object", path)
    return value


def validate(structure: type[Structure], value: dict[str, Any], path: Path) -> Structure:
    """The document as ``structure``; raises :class:`FormatError` naming the first wrong field."""
    try:
        return structure.model_validate_json(canonical_json(value))
    except RecursionError as error:
        raise refuse("the document is nested too deeply", path) from error
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        field = ".".join(map(str, first["loc"]))
        what = f"the document's field {field!r} is malformed: {first['msg']}"
        raise refuse(what, path) from error


def canonical_json(value: Any, *, sort: bool = False) -> str:
    """Compact ASCII JSON; equal values give equal text."""
    return json.dumps(value, separators=(",", ":"), sort_keys=sort, allow_nan=False)


def is_printable(name: object) -> bool:
    """Whether a name from a file can be shown and used as a key."""
    return isinstance(name, str) and name != "" and name.isprintable()


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    table = dict(pairs)
    if len(table) != len(pairs):
        raise ValueError("a key occurs twice")
    return table


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text} is not a finite number")
    return number
