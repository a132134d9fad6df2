"""What every command shares: tables, progress, events, and failures without tracebacks."""

from __future__ import annotations

from vlmforge.console.display import Display, Report
from vlmforge.console.events import failures_told, tell
from vlmforge.console.failures import FAILED, UNEXPECTED, expected_failures
from vlmforge.console.output import (
    ERRORS,
    OUTPUT,
    print_facts,
    print_json,
    print_table,
    print_text,
    warn,
)
from vlmforge.console.progress import progress
from vlmforge.progress import human_size

__all__ = [
    "ERRORS",
    "FAILED",
    "OUTPUT",
    "UNEXPECTED",
    "Display",
    "Report",
    "expected_failures",
    "failures_told",
    "human_size",
    "print_facts",
    "print_json",
    "print_table",
    "print_text",
    "progress",
    "tell",
    "warn",
]
