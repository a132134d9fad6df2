"""The memory of this computer, and of it what a process may use."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterator
from pathlib import Path

GROUPS = Path("/proc/self/cgroup")
"""The control groups of this process, where Linux limits what it may use."""

MOUNT = Path("/sys/fs/cgroup")


def physical_memory() -> int | None:
    """Bytes of it; None where the system does not tell."""
    known = getattr(os, "sysconf_names", {})
    if not {"SC_PAGE_SIZE", "SC_PHYS_PAGES"} <= set(known):
        return None
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def usable_memory() -> int | None:
    """Bytes that a process may use: the least of the computer's and its groups' limits.

    None where the system tells nothing.
    """
    known = [physical_memory(), *_limits()]
    return min((each for each in known if each is not None), default=None)


def return_freed() -> None:
    """Give memory that was freed back to the system, where the C library can be asked to."""
    try:
        trim = ctypes.CDLL(None).malloc_trim
    except (OSError, TypeError, AttributeError):
        return
    trim(0)


def _limits() -> Iterator[int]:
    """The limits of the groups this process is in, and of those around them."""
    try:
        lines = GROUPS.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers == "":
            root, name = MOUNT, "memory.max"
        elif "memory" in controllers.split(","):
            root, name = MOUNT / "memory", "memory.limit_in_bytes"
        else:
            continue
        group = root / path.strip("/")
        for folder in (group, *group.parents):
            if folder.is_relative_to(root):
                yield from _limit(folder / name)


def _limit(file: Path) -> Iterator[int]:
    """The number in a file; nothing where there is none, or the word for no limit."""
    try:
        yield int(file.read_text("ascii"))
    except (OSError, ValueError):
        return
