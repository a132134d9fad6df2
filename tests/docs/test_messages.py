"""Commands that messages tell the user to run are real, and whole."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

import pytest
import typer

from tests.docs.test_commands import ROOT, SPAN, app, complaint

__all__ = ["app"]

SOURCES = sorted((ROOT / "src" / "vlmforge").rglob("*.py"))
PLACEHOLDERS = {"COMPONENT": "language"}
"""What an argument may be, where not every text will do; ``{...}`` in a message is a component."""


PLAIN = re.compile(r"[:,] (vlmforge [a-z][^`]*)$")
"""A command that ends a message needs no back quotes."""


def literals(text: str) -> Iterator[str]:
    """The strings of a program that are no docstrings, with ``{}`` for what is put in."""
    tree = ast.parse(text)
    inner = {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr)
             for part in node.values}  # fmt: skip
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr):
            inner.add(id(node.value))
        elif isinstance(node, ast.JoinedStr) and id(node) not in inner:
            yield "".join(
                part.value if isinstance(part, ast.Constant) else "{}" for part in node.values
            )
        elif (
            isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in inner
        ):
            yield node.value


def commands(text: str) -> list[str]:
    """The commands that the messages of a program show."""
    found = list(literals(text))
    return [shown for literal in found for form in (SPAN, PLAIN) for shown in form.findall(literal)]


SHOWN = [
    pytest.param(command, id=f"{path.relative_to(ROOT)}: {command}")
    for path in SOURCES
    for command in commands(path.read_text("utf-8"))
]


def filled(command: str) -> str:
    """The command with an argument for each placeholder."""
    for name, value in {**PLACEHOLDERS, "{}": "language"}.items():
        command = command.replace(name, value)
    return command


def test_there_are_some() -> None:
    assert len(SHOWN) > 10


@pytest.mark.parametrize("command", SHOWN)
def test_a_message_shows_a_whole_command(command: str, app: typer.Typer) -> None:
    assert complaint(app, filled(command)) is None


def test_commands_are_found_wherever_they_stand() -> None:
    text = """
def f(name):
    "Docstring: `vlmforge docs`."
    mend = f"run `vlmforge mblt {name} MODEL`, " "or `vlmforge images`"
    return (mend, "`vlmforge doctor`; vlmforge itself", "so: vlmforge images --seed 1")
"""
    assert sorted(commands(text)) == [
        "vlmforge doctor",
        "vlmforge images",
        "vlmforge images --seed 1",
        "vlmforge mblt {} MODEL",
    ]
