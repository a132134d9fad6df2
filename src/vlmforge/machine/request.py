"""Request and RequestRules: one run of a program, and what the program asks of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final, NamedTuple

import numpy as np

from vlmforge.dims import Dim, Mismatch, Shape, bind, resolve
from vlmforge.errors import RunError
from vlmforge.fixed_point import LIMITS
from vlmforge.machine.cache import Cache
from vlmforge.program.core import Instruction, Program
from vlmforge.program.limits import MAX_CACHE_LENGTH

Sizes = dict[str, int]
"""Name of a dynamic dimension to its size in one run."""

Outputs = dict[str, np.ndarray]
"""Name to array."""

_OF_ROWS: Final = ("the row", "pass indexes of rows of this chunk")
INDEXED: Final = {
    "gather_rows": _OF_ROWS,
    "index": _OF_ROWS,
    "visible": (
        "the bound of what a row sees",
        "pass the first key of each row and the one after its last, both among the keys",
    ),
    "rope_lookup": ("the position", "shorten the prompt, or compile with a larger cache length"),
}
"""What has indexes: what an index names, and what to do about one out of range."""


class OutOfRange(NamedTuple):
    """An index that is not in ``[first, limit)``."""

    value: int
    limit: int
    first: int = 0


class Request(NamedTuple):
    """One run of a program.

    Attributes:
        inputs: each of the program's inputs by name, in its dtype and shape.
        cache: positions passed before, which the run extends.
    """

    inputs: Mapping[str, np.ndarray]
    cache: Cache | None = None


class Wanted(NamedTuple):
    """What a program asks of one of its inputs.

    Attributes:
        name: of the input.
        dtype: of its array.
        shape: its dimensions.
        limit: the largest code, of a value that is codes.
    """

    name: str
    dtype: np.dtype[Any]
    shape: Shape
    limit: int | None

    def holds_values(self, array: np.ndarray) -> bool:
        """Whether all of an array of the right dtype are finite numbers, or codes."""
        if self.dtype.kind == "f":
            return bool(np.isfinite(array).all())
        return self.limit is None or bool((array >= -self.limit).all())


class RequestRules:
    """The checks every machine makes before it runs a verified program.

    Attributes:
        widths: cache name to ``kv_heads * head_dim``.
    """

    def __init__(self, program: Program) -> None:
        attentions = [each for each in program.instructions if each.op == "attention"]
        rows = {each.name: program.buffers[each.inputs[1]].shape[0] for each in attentions}
        caching = [each for each in attentions if each.attrs.get("cache") is not None]
        self.widths: dict[str, int] = {
            each.attrs["cache"]: each.attrs["kv_heads"] * each.attrs["head_dim"] for each in caching
        }
        self._program = program
        buffers = [program.buffers[name] for name in program.inputs]
        self._inputs = [
            Wanted(b.name, np.dtype(b.dtype), b.shape, LIMITS.get(b.dtype)) for b in buffers
        ]
        self._attended = list(set(rows.values()))
        self._appended: Dim = rows[caching[0].name] if caching else 0

    def check_capacity(self, capacity: int) -> None:
        """Raise :class:`RunError` unless 1 ≤ capacity ≤ the compiled length."""
        limit = self._program.meta.get("cache_length", MAX_CACHE_LENGTH)
        if not 1 <= capacity <= limit:
            raise self._error(
                f"a cache of {capacity} positions is outside 1 to {limit}",
                "ask for fewer positions, or compile with a larger cache length",
            )

    def check(self, inputs: Mapping[str, np.ndarray], cache: Cache | None) -> Sizes:
        """The sizes of the dynamic dimensions.

        Raises:
            RunError: an input is missing, unknown, of another dtype or shape, or not finite; there
                is nothing to attend to; the cache is another program's or has no room.
        """
        if inputs.keys() != set(self._program.inputs):
            what = f"the inputs are {sorted(inputs)}, not {sorted(self._program.inputs)}"
            raise self._error(what, "pass exactly the inputs of the program")
        sizes: Sizes = {}
        for wanted in self._inputs:
            sizes = self._check_input(wanted, inputs[wanted.name], sizes)
        if 0 in resolve(self._attended, sizes):
            raise self._error("the chunk has no rows", "pass at least one position")
        if cache is not None:
            self._check_cache(cache, self.appended(sizes))
        return sizes

    def appended(self, sizes: Sizes) -> int:
        """Rows that a run of these sizes appends to the cache."""
        return resolve((self._appended,), sizes)[0]

    def _check_input(self, wanted: Wanted, array: np.ndarray, known: Sizes) -> Sizes:
        """The sizes known and those that follow from the input."""
        if not isinstance(array, np.ndarray) or array.dtype != wanted.dtype:
            found = getattr(array, "dtype", type(array).__name__)
            raise self._error(
                f"the input {wanted.name!r} is {found}, not a NumPy array of {wanted.dtype}",
                f"convert it to {wanted.dtype}",
            )
        try:
            sizes = bind(wanted.shape, array.shape, known)
        except Mismatch as error:
            given = f" with {known}" if known else ""
            what = f"the input {wanted.name!r} is {array.shape}, not {wanted.shape}{given}: {error}"
            mend = "reshape it; a name stands for one size in all inputs, 4*name for four times it"
            raise self._error(what, mend) from error
        if not wanted.holds_values(array):
            what = f"the input {wanted.name!r} holds a value that is not finite or not a code"
            raise self._error(what, "look for NaN, infinity or the lowest integer in it")
        return sizes

    def _check_cache(self, cache: Cache, rows: int) -> None:
        if dict(cache.widths) != self.widths:
            mend = "use a cache that new_cache() of the same machine made"
            raise self._error("the cache belongs to another program", mend)
        if cache.length + rows > cache.capacity:
            raise self._error(
                f"{rows} more positions do not fit a cache with {cache.length} of"
                f" {cache.capacity} in use",
                "shorten the prompt, generate fewer tokens, or ask for a larger cache",
            )

    def _error(self, what: str, mend: str) -> RunError:
        return RunError(what, where=f"the {self._program.component} program", mend=mend)


def require_own_caches(requests: Sequence[Request]) -> None:
    """Raise :class:`RunError` if two requests of a batch extend the same cache."""
    caches = [id(request.cache) for request in requests if request.cache is not None]
    if len(set(caches)) != len(caches):
        raise RunError(
            "two requests of a batch share a cache", mend="give each request a cache of its own"
        )


def one_by_one(
    run: Callable[[Mapping[str, np.ndarray], Cache | None], Outputs], requests: Sequence[Request]
) -> list[Outputs]:
    """The outputs of each request, run alone; if one fails, every cache keeps its length.

    Raises:
        RunError: two requests share a cache, or ``run`` refuses one.
    """
    require_own_caches(requests)
    with unchanged_on_failure(requests):
        return [run(request.inputs, request.cache) for request in requests]


@contextmanager
def unchanged_on_failure(requests: Sequence[Request]) -> Iterator[None]:
    """Let the caches of a batch keep their lengths if what happens within fails."""
    caches = [(each.cache, each.cache.length) for each in requests if each.cache is not None]
    try:
        yield
    except BaseException:
        for cache, length in caches:
            cache.truncate(length)
        raise


def check_indexes(kind: str, name: str, indexes: np.ndarray, limit: int) -> None:
    """Raise :func:`index_error` unless every element is in ``[0, limit)``."""
    outside = indexes[(indexes < 0) | (indexes >= limit)]
    if outside.size:
        raise index_error(kind, name, OutOfRange(int(outside.flat[0]), limit))


def check_intervals(name: str, visible: np.ndarray, keys: int) -> None:
    """Raise :func:`index_error` unless every row is an interval of the keys that is not empty."""
    for first, end in visible[_no_intervals(visible, keys)].tolist():
        within = 0 <= first < keys
        found = OutOfRange(end, keys + 1, first + 1) if within else OutOfRange(first, keys)
        raise index_error("visible", name, found)


def _no_intervals(visible: np.ndarray, keys: int) -> np.ndarray:
    first, end = visible.T
    return (first < 0) | (first >= end) | (end > keys)


def kind_of_index(program: Program, step: Instruction) -> str:
    """The key of :data:`INDEXED` for an instruction's indexes."""
    if step.op != "attention":
        return step.op
    return "visible" if len(program.buffers[step.inputs[-1]].shape) == 2 else "index"


def index_error(kind: str, name: str, found: OutOfRange) -> RunError:
    """What instruction ``name`` refuses an index out of range with."""
    what, mend = INDEXED[kind]
    within = f"{found.first} to {found.limit - 1}"
    return RunError(f"{what} {found.value} is outside {within}", where=name, mend=mend)
