"""The memory of this computer."""

from __future__ import annotations

import os


def physical_memory() -> int | None:
    """Bytes of it; None where the system does not tell."""
    known = getattr(os, "sysconf_names", {})
    if not {"SC_PAGE_SIZE", "SC_PHYS_PAGES"} <= set(known):
        return None
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
