"""The command line: every stage of the pipeline, and what one does with a package."""

from __future__ import annotations

import sys
from typing import Any


def main() -> None:
    """Run the command line; see :func:`vlmforge.console.expected_failures` for exit statuses."""
    try:
        from vlmforge import console
        from vlmforge.cli import process, threads
        from vlmforge.cli.commands import app

        process.prepare()
        threads.share_processors()
        with console.expected_failures():
            app()
    except KeyboardInterrupt:  # while the program was still being loaded
        sys.stderr.write("interrupted\n")
        sys.exit(130)


def __getattr__(name: str) -> Any:
    if name != "app":
        raise AttributeError(f"module 'vlmforge.cli' has no attribute {name!r}")
    from vlmforge.cli.commands import app

    return app
