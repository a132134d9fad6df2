"""The command line: every stage of the pipeline, and what one does with a package."""

from __future__ import annotations

from vlmforge import console
from vlmforge.cli.options import app

# Importing the commands lists them, in this order, in --help.
# isort: off
from vlmforge.cli import whole, stages, run, examine
# isort: on

__all__ = ["app", "examine", "main", "run", "stages", "whole"]


def main() -> None:
    """Run the command line; expected failures exit with status 2."""
    with console.expected_failures():
        app()
