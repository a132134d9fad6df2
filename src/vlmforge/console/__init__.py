"""What every command shares: tables, progress bars, and failures without tracebacks."""

from __future__ import annotations

from vlmforge.console.failures import FAILED, UNEXPECTED, expected_failures
from vlmforge.console.output import (
    ERRORS,
    OUTPUT,
    human_size,
    print_facts,
    print_json,
    print_table,
    print_text,
    warn,
)
from vlmforge.console.progress import Report, progress

__all__ = [
    "ERRORS",
    "FAILED",
    "OUTPUT",
    "UNEXPECTED",
    "Report",
    "expected_failures",
    "human_size",
    "print_facts",
    "print_json",
    "print_table",
    "print_text",
    "progress",
    "warn",
]
