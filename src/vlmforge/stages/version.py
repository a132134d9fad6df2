"""The version of a stage: a fingerprint of the code its bytes depend on."""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch

from vlmforge import __version__
from vlmforge.stages.step import Facts

ROOT = Path(__file__).parents[1]
"""Of all modules."""


LIBRARIES = ("numpy", "pillow", "tokenizers", "torch", "transformers")
"""Whose arithmetic and settings enter files."""


def code_facts(*modules: str) -> Facts:
    """The code a step runs, whose entries are modules such as ``"stages.mxq"``."""
    found = {"version of this step": code_version(*modules)}
    return found | {"set of libraries": installed_libraries()}


def installed_libraries() -> str:
    """The releases of :data:`LIBRARIES`, in one line."""
    return ", ".join(f"{name} {_installed(name)}" for name in LIBRARIES)


def computing_facts() -> Facts:
    """Who computes, where sums have no stated order, but a library's."""
    instructions = torch.backends.cpu.get_cpu_capability()
    return {"number of threads": str(torch.get_num_threads()), "set of instructions": instructions}


@cache
def code_version(*modules: str) -> str:
    """SHA-256 in hex of modules, such as ``"stages.mxq"``, and of all they import of vlmforge."""
    found: dict[str, Path] = {}
    waiting = list(modules)
    while waiting:
        name = waiting.pop()
        file = _sources().get(name)
        if file is not None and name not in found:
            found[name] = file
            waiting += _imports(file)
    digest = hashlib.sha256(__version__.encode())
    for name in sorted(found):
        digest.update(f"{name}\0".encode() + found[name].read_bytes())
    return digest.hexdigest()


@cache
def _sources() -> Mapping[str, Path]:
    """The file of every module, by its name without ``vlmforge.``; of built ones, the library."""
    found = {}
    for file in sorted(ROOT.rglob("*.py")):
        name = ".".join(file.relative_to(ROOT).with_suffix("").parts)
        found[name.removesuffix(".__init__")] = file
    built = [file for suffix in ("so", "pyd") for file in sorted(ROOT.glob(f"*.{suffix}"))]
    return {file.name.partition(".")[0]: file for file in built} | found


@cache
def _imports(file: Path) -> tuple[str, ...]:
    """The names of modules that a file may import, without ``vlmforge.``; also within functions."""
    return tuple(_imported(ast.parse(file.read_bytes()))) if file.suffix == ".py" else ()


def _imported(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module == "vlmforge":
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("vlmforge."):
            module = str(node.module).removeprefix("vlmforge.")
            yield module
            yield from (f"{module}.{alias.name}" for alias in node.names)


def _installed(library: str) -> str:
    try:
        return version(library)
    except PackageNotFoundError:
        return "none"
