"""The version of a stage: a fingerprint of the code its bytes depend on."""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from vlmforge import __version__

ROOT = Path(__file__).parents[1]
"""Of all modules."""


def code_version(*modules: str) -> str:
    """SHA-256 in hex of modules, such as ``"stages.mxq"``, and of all they import of vlmforge."""
    found: dict[str, Path] = {}
    waiting = list(modules)
    while waiting:
        name = waiting.pop()
        file = _file(name)
        if file is not None and name not in found:
            found[name] = file
            waiting += _imports(file)
    digest = hashlib.sha256(__version__.encode())
    for name in sorted(found):
        digest.update(f"{name}\0".encode() + found[name].read_bytes())
    return digest.hexdigest()


def _file(name: str) -> Path | None:
    place = ROOT.joinpath(*name.split("."))
    for file in (place.with_suffix(".py"), place / "__init__.py"):
        if file.is_file():
            return file
    return None


@cache
def _imports(file: Path) -> tuple[str, ...]:
    """The names of modules that a file may import, without ``vlmforge.``; also within functions."""
    return tuple(_imported(ast.parse(file.read_bytes())))


def _imported(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("vlmforge."):
            module = str(node.module).removeprefix("vlmforge.")
            yield module
            yield from (f"{module}.{alias.name}" for alias in node.names)
