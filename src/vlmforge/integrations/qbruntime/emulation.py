"""Emulation: scripts that import ``qbruntime`` run on this project's machine."""

from __future__ import annotations

import runpy
import sys
from collections.abc import Sequence
from pathlib import Path

from vlmforge.errors import RunError

NAME = "qbruntime"
"""What scripts import."""


def install() -> None:
    """Let ``import qbruntime`` give :mod:`vlmforge.integrations.qbruntime`.

    Raises:
        RunError: something else was imported by that name.
    """
    module = sys.modules["vlmforge.integrations.qbruntime"]
    if sys.modules.setdefault(NAME, module) is not module:
        raise RunError(
            f"another module called {NAME} was imported before",
            mend="install the emulation before anything imports it: vlmforge emulate SCRIPT",
        )


def run_script(script: Path, arguments: Sequence[str]) -> None:
    """Run a script as ``python SCRIPT ARGUMENTS`` does, with the emulation installed."""
    install()
    sys.argv = [str(script), *arguments]
    sys.path.insert(0, str(script.resolve().parent))
    runpy.run_path(str(script), run_name="__main__")
