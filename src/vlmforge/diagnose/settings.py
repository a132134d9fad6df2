"""Settings: parts of a configuration that would mend something."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def missing(setting: Mapping[str, Any], config: Mapping[str, Any]) -> dict[str, Any]:
    """The part of a setting that a configuration does not have; of lists, the new entries."""
    found = {}
    for key, wanted in setting.items():
        present, part = config.get(key), wanted
        if isinstance(wanted, Mapping):
            part = missing(wanted, present or {})
        elif isinstance(wanted, list):
            part = [each for each in wanted if each not in (present or [])]
        if part != present and part not in ({}, []):
            found[key] = part
    return found
