"""Snapshots of contexts: taken, and restored where they belong."""

from __future__ import annotations

import numpy as np

from vlmforge.decode.context import Context, require_room
from vlmforge.decode.inputs import NO_ROWS, Inputs
from vlmforge.errors import RunError
from vlmforge.formats.kv import Snapshot


def take(context: Context, package: str) -> Snapshot:
    """A copy of what a context holds now.

    Args:
        context: of the package.
        package: fingerprint of the package.

    Raises:
        RunError: the context holds nothing.
    """
    if context.length == 0:
        raise RunError("there is nothing to keep", mend="ask something first")
    rows = context.rows(0, context.length)
    return Snapshot(package, context.token_ids.copy(), context.keys.copy(), rows)


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
    if not _is_possible(snapshot, len(context.embeddings), context.grid[0] * context.grid[1]):
        raise RunError(
            "the snapshot holds tokens that no package has read", mend="take the snapshot again"
        )
    require_room(len(snapshot.token_ids), 0, context.capacity)
    context.truncate(0)
    context.adopt(Inputs(snapshot.token_ids, snapshot.keys, NO_ROWS), snapshot.rows)


def _is_possible(snapshot: Snapshot, vocabulary: int, image_tokens: int) -> bool:
    """Whether the tokens exist, and images are whole."""
    tokens, is_image = snapshot.token_ids, snapshot.keys < 0
    edges = np.flatnonzero(np.diff(is_image, prepend=False, append=False))
    runs = edges[1::2] - edges[::2]
    return (
        bool(((tokens >= 0) & (tokens < vocabulary)).all())
        and np.array_equal(snapshot.keys[~is_image], tokens[~is_image])
        and (runs.size == 0 or (image_tokens > 0 and not (runs % image_tokens).any()))
    )
