"""Hold the sizes that keep the code readable: no function over 60 lines.

    python tools/check_sizes.py [FOLDER ...]

Prints the median lengths of functions and files. Exit status 1 if a function is too long.
"""

from __future__ import annotations

import ast
import sys
from dataclasses import dataclass
from pathlib import Path
from statistics import median

LIMIT = 60
"""The most lines a function may have, decorators and docstring included."""

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = ("src/vlmforge", "tools", "training", "tutorial")


@dataclass(frozen=True)
class Function:
    """A function and its length in lines."""

    file: Path
    line: int
    name: str
    length: int


def functions(file: Path) -> list[Function]:
    """The functions and methods a file defines, nested ones included."""
    tree = ast.parse(file.read_text(encoding="utf-8"), filename=str(file))
    return [
        Function(file, node.lineno, node.name, _length(node))
        for node in ast.walk(tree)
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
    ]


def _length(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    first = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
    return (node.end_lineno or node.lineno) - first + 1


def main(arguments: list[str]) -> int:
    folders = [Path(name) for name in arguments] or [ROOT / name for name in FOLDERS]
    files = sorted(file for folder in folders for file in folder.rglob("*.py"))
    found = [function for file in files for function in functions(file)]
    if not found:
        print("sizes: no functions found")
        return 0
    lines = [len(file.read_text(encoding="utf-8").splitlines()) for file in files]
    print(f"functions: {len(found)}, median {median(f.length for f in found):.0f} lines")
    print(f"files: {len(files)}, median {median(lines):.0f} lines, longest {max(lines)}")
    too_long = [function for function in found if function.length > LIMIT]
    for function in too_long:
        print(
            f"{function.file}:{function.line}: {function.name} has {function.length} lines, "
            f"the limit is {LIMIT}"
        )
    return 1 if too_long else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
