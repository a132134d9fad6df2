"""Emulation: scripts that import ``qbruntime`` run on this project's machine."""

from __future__ import annotations

import os
import runpy
import sys
from collections.abc import Sequence
from pathlib import Path

from vlmforge.errors import RunError
from vlmforge.integrations.qbruntime.opened import Opened

NAME = "qbruntime"
"""What scripts import."""


def install(verify_key: str | os.PathLike[str] | None = None) -> None:
    """Let ``import qbruntime`` give :mod:`vlmforge.integrations.qbruntime`.

    Args:
        verify_key: file of the public key with which every package opened from now on has to be
            signed; None leaves it as it was.

    Raises:
        RunError: something else was imported by that name.
        SignatureError, SystemFailure, InstallError: the key cannot be used.
    """
    if verify_key is not None:
        Opened.require_signed(Path(verify_key))
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
