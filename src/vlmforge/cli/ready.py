"""What a command says of a package it has made."""

from __future__ import annotations

import shlex
from pathlib import Path

from vlmforge import console


def print_ready(package: Path, *, sees: bool) -> None:
    """Say that a package is ready, and the command to run next."""
    chat = f"vlmforge chat {shlex.quote(str(package))}"
    console.print_text(f"{package} is ready: {chat}{' --image FILE' if sees else ''}")
