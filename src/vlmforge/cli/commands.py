"""All commands. Importing them lists them, in this order, in --help."""

from __future__ import annotations

from vlmforge.cli.options import app

# isort: off
from vlmforge.cli import (
    whole,
    stages,
    chat,
    serve,
    evaluate,
    inspect,
    examine,
    emulate,
    sign,
    push,
    doctor,
)
# isort: on

__all__ = [
    "app",
    "chat",
    "doctor",
    "emulate",
    "evaluate",
    "examine",
    "inspect",
    "push",
    "serve",
    "sign",
    "stages",
    "whole",
]
