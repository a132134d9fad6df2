"""``vlmforge serve`` as a process."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path


class Server:
    """A server of a package at a free port; a context manager that ends it.

    Args:
        package: its directory.
        options: of the command.
    """

    def __init__(self, package: Path, *options: str) -> None:
        command = [sys.executable, "-m", "vlmforge", "serve", str(package), "--port", "0", *options]
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        assert self.process.stderr is not None
        self.address = self.process.stderr.readline().split()[-1]

    def __enter__(self) -> Server:
        return self

    def __exit__(self, *arguments: object) -> None:
        self.process.terminate()
        self.process.wait(90)
