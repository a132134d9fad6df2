"""Settings files of a package: JSON objects beside the programs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from vlmforge.errors import PackageError


def read_settings(path: Path, *, required: bool = True) -> dict[str, Any]:
    """The JSON object in a file; empty where a file that is not required is missing.

    Raises:
        PackageError: the file is missing or no JSON object.
    """
    if not required and not path.is_file():
        return {}
    try:
        settings = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise _unreadable(path, str(error)) from error
    if not isinstance(settings, dict):
        raise _unreadable(path, "it holds no JSON object")
    return settings


def _unreadable(path: Path, reason: str) -> PackageError:
    return PackageError(
        f"a settings file cannot be read: {reason}", where=path, mend="build the package again"
    )
