"""What the operators, methods and filters of templates cost, which is paid before they run."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any

from jinja2.exceptions import SecurityError

from vlmforge.prompt.budget import NODE, Budget, exceeded, length

MOST_BITS = 100_000
"""Of a whole number."""

MOST_WIDTH = 1000
"""Columns or digits that text may be padded to in one step."""

WIDE = re.compile(r"\d{4}|%[^a-zA-Z%]*\*")
"""What asks for more in a format, or for a width that an argument tells."""

SAME_LENGTH = ("upper", "lower", "title", "capitalize", "casefold", "swapcase", "splitlines")
SEARCHES = ("split", "partition", "find", "index", "count", "startswith", "endswith")
ENDS = ("removeprefix", "removesuffix")
KINDS = (
    "alnum",
    "alpha",
    "ascii",
    "decimal",
    "digit",
    "lower",
    "numeric",
    "space",
    "title",
    "upper",
)
SLOW = ("rfind", "rindex", "rsplit", "rpartition", "strip", "lstrip", "rstrip")
PADDING = ("center", "ljust", "rjust", "zfill")
TEXT_METHODS = {
    *(SAME_LENGTH + SEARCHES + ENDS + SLOW + PADDING),
    *(f"is{kind}" for kind in KINDS),
    *("replace", "join"),
}
"""Methods of texts that templates may call; ``format`` has a formatter of its own."""

OTHER_METHODS: dict[type, set[str]] = {
    dict: {"get", "items", "keys", "values", "copy"},
    list: {"index", "count", "copy"},
    tuple: {"index", "count"},
    int: {"bit_length"},
    float: {"is_integer"},
}

REFUSED_FILTERS = ("pprint", "striptags", "urlize", "wordwrap")
"""Filters that take a square of their input's length, and that no chat needs."""

ONCE_EACH = {
    *("attr", "batch", "count", "d", "default", "first", "items", "last", "length", "list", "map"),
    *("reject", "rejectattr", "reverse", "select", "selectattr", "slice"),
}
"""Filters that look at each element of a container and not within it."""

PADDED = {"batch", "center", "indent", "round", "slice", "tojson", "truncate"}
"""Filters with a width, a count or a text that fills."""


def pay_operator(budget: Budget, operator: str, left: Any, right: Any) -> None:
    """Pay for ``left operator right``; RunError if it is too much."""
    budget.spend(NODE)
    if operator == "%" and isinstance(left, str):
        _pay_format(budget, left, right)
    elif operator == "+":
        for value in (left, right):
            budget.spend(len(value) if isinstance(value, str) else budget.nodes(value))
    elif operator == "*":
        for value, times in ((left, right), (right, left)):
            if isinstance(value, (str, list, tuple)) and isinstance(times, int):
                each = len(value) if isinstance(value, str) else budget.nodes(value)
                budget.spend(each * max(times, 0))
        _require_bits(_bits(left) + _bits(right))
    elif operator == "**":
        _require_bits(_bits(left) * right if isinstance(right, int) else 0)


def pay_method(budget: Budget, method: Any, args: Sequence[Any]) -> Sequence[Any]:
    """Pay for the call of a method of a built-in value; the arguments to call it with.

    Raises:
        RunError: it is too much.
        SecurityError: the method is not for templates.
    """
    owner, name = getattr(method, "__self__", None), getattr(method, "__name__", "")
    if isinstance(owner, str):
        if name not in TEXT_METHODS:
            raise SecurityError(f"the method {name} of texts is not for templates")
        return _pay_text_method(budget, owner, name, args)
    for kind, names in OTHER_METHODS.items():
        if isinstance(owner, kind):
            if name not in names:
                raise SecurityError(f"the method {name} of {kind.__name__} is not for templates")
            budget.spend(budget.nodes(owner) if name in ("index", "count") else length(owner))
            return args
    if isinstance(owner, (bytes, bytearray, complex, type)):
        raise SecurityError(f"the method {name} is not for templates")
    return args


def pay_filter(
    budget: Budget, name: str, args: Sequence[Any], kwargs: Mapping[str, Any]
) -> Sequence[Any]:
    """Pay for a filter whose first argument is its value; the arguments to run it with."""
    given = [*args, *kwargs.values()]
    if name in ("join", "sum") and args:
        args = [list(args[0]), *args[1:]]
        given = [*args, *kwargs.values()]
    budget.spend(sum(map(length if name in ONCE_EACH else budget.text, given)))
    if name in PADDED:
        _pay_padding(budget, given)
    elif name == "replace" and len(args) > 2:
        _pay_replace(budget, str(args[0]), str(args[1]), str(args[2]))
    elif name == "join":
        budget.spend(len(args[0]) * sum(len(each) for each in given[1:] if isinstance(each, str)))
    elif name == "format":
        _pay_format(budget, str(args[0]), [*args[1:], *kwargs.values()])
    elif name == "sum" and not all(isinstance(each, (int, float, str)) for each in given[1:]):
        raise SecurityError("sum is for numbers alone")
    return args


def pay_comparison(budget: Budget, value: object) -> None:
    """Pay for comparing a value, or looking into it."""
    budget.spend(len(value) // NODE + 1 if isinstance(value, str) else budget.nodes(value))


def require_narrow(form: str) -> None:
    """Raise RunError if a format asks for more than :data:`MOST_WIDTH` columns or digits."""
    if WIDE.search(form):
        raise exceeded("width in a format")


def _pay_text_method(budget: Budget, text: str, name: str, args: Sequence[Any]) -> Sequence[Any]:
    texts = [each for each in args if isinstance(each, str)]
    budget.spend(NODE + len(text) + sum(map(len, texts)))
    if name == "replace" and len(texts) > 1:
        _pay_replace(budget, text, *texts[:2])
    elif name == "join" and args:
        args = [list(args[0])]
        budget.spend(len(text) * len(args[0]) + budget.text(args[0]))
    elif name in PADDING:
        budget.spend(max((each for each in args if isinstance(each, int)), default=0))
    elif name in SLOW:
        budget.spend(len(text) * sum(map(len, texts)) // 64)
    return args


def _pay_replace(budget: Budget, text: str, old: str, new: str) -> None:
    budget.spend(text.count(old) * len(new))


def _pay_format(budget: Budget, form: str, values: object) -> None:
    require_narrow(form)
    places = form.count("%")
    budget.spend(len(form) + places * (MOST_WIDTH + budget.text(values)))


def _pay_padding(budget: Budget, given: Sequence[Any]) -> None:
    widths = (each for each in given[1:] if isinstance(each, int))
    fillings = (len(each) for each in given[1:] if isinstance(each, str))
    width = max(chain(map(abs, widths), fillings), default=0)
    if width > MOST_WIDTH and not isinstance(given[0], str):
        raise exceeded("width in a filter")
    lines = given[0].count("\n") + 1 if isinstance(given[0], str) else budget.nodes(given[0])
    budget.spend(lines * width)


def _bits(value: object) -> int:
    return value.bit_length() if isinstance(value, int) else 0


def _require_bits(bits: int) -> None:
    if bits > MOST_BITS:
        raise exceeded("digits in a number")
