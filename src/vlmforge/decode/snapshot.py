"""Snapshots of contexts: taken, and restored where they belong."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from vlmforge.decode.context import Context, require_room
from vlmforge.decode.inputs import NO_ROWS, Inputs
from vlmforge.errors import RunError
from vlmforge.formats.kv import Snapshot
from vlmforge.images.grid import Grid
from vlmforge.prompt.spans import Span


def take(context: Context, package: str) -> Snapshot:
    """A copy of what a context holds now, but for a part of an image.

    Args:
        context: of the package.
        package: fingerprint of the package.

    Raises:
        RunError: the context holds nothing.
    """
    length = context.whole(context.length)
    if length == 0:
        raise RunError("there is nothing to keep", mend="ask something first")
    token_ids, keys = context.token_ids[:length].copy(), context.keys[:length].copy()
    spans = tuple((span.start, *span.grid.record) for span in context.spans if span.stop <= length)
    return Snapshot(package, token_ids, keys, context.rows(0, length), spans)


def restore(context: Context, snapshot: Snapshot, package: str) -> None:
    """Let a context hold what a snapshot holds, and nothing else.

    Args:
        context: of the package.
        snapshot: perhaps read from a file; nothing about it is trusted.
        package: fingerprint of the package.

    Raises:
        RunError: the snapshot is another package's, or longer than the context's capacity.
    """
    if snapshot.package != package:
        raise RunError(
            f"the snapshot is of another package ({snapshot.package[:12]}, not {package[:12]})",
            mend="open the package that made it, or ask again",
        )
    if not _is_possible(snapshot, len(context.embeddings)):
        raise RunError(
            "the snapshot holds tokens that no package has read", mend="take the snapshot again"
        )
    require_room(len(snapshot.token_ids), 0, context.capacity)
    context.truncate(0)
    held = Inputs(snapshot.token_ids, snapshot.keys, NO_ROWS, tuple(_spans(snapshot)))
    context.adopt(held, snapshot.rows)


def _spans(snapshot: Snapshot) -> Iterator[Span]:
    for start, *grid in snapshot.spans:
        yield Span(start, int(snapshot.keys[start]), Grid(*grid))


def _is_possible(snapshot: Snapshot, vocabulary: int) -> bool:
    """Whether the tokens exist, and every image is whole and in its place."""
    tokens, keys = snapshot.token_ids, snapshot.keys
    expected, at = tokens.copy(), 0
    for start, *grid in snapshot.spans:
        stop = start + Grid(*grid).tokens
        if not at <= start < stop <= tokens.size or keys[start] >= 0:
            return False
        expected[start:stop], at = keys[start], stop
    return bool(((tokens >= 0) & (tokens < vocabulary)).all()) and np.array_equal(keys, expected)
