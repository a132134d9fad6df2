"""Owners of files, where the system knows them."""

from __future__ import annotations

import os


def user() -> int | None:
    """The number of this user; None where files have no owners, as on Windows."""
    number = getattr(os, "getuid", None)
    return None if number is None else int(number())


def is_own(facts: os.stat_result, *, or_of: int | None = None) -> bool:
    """Whether a file is this user's, as far as the system knows.

    Args:
        facts: of the file.
        or_of: another user who may own it, too.
    """
    return user() in (None, facts.st_uid) or facts.st_uid == or_of
