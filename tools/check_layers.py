"""Hold the layers of the design: a module imports only from the layers below its own.

    python tools/check_layers.py [PACKAGE_FOLDER]

Imports are read from the source, also those inside functions and under TYPE_CHECKING; nothing
is executed. Every broken rule is printed as ``file:line: rule``; exit status 1 if there is one.
"""

from __future__ import annotations

import ast
import sys
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

LAYERS = (
    ("dims", "errors", "progress", "sample", "text", "_native"),
    ("arithmetic", "fixed_point", "config", "libraries"),
    ("graph", "program", "learning", "tasks"),
    ("formats",),
    ("signing",),
    ("hub", "images"),
    ("families",),
    ("source", "machine", "prompt"),
    ("capture", "transform", "quantize", "decode"),
    ("original", "run"),
    ("calibrate", "package", "serve", "integrations"),
    ("inspection", "evaluation", "bench", "doctor"),
    ("publish", "stages"),
    ("pipeline",),
    ("diagnose", "tune"),
    ("console",),
    ("cli",),
    ("__main__",),
)
"""The parts of the package, lowest layer first. Parts of one layer do not import each other."""

RUNNING = {"images", "machine", "prompt", "decode", "run", "serve", "bench", "evaluation"}
"""What runs packages."""

BASE = RUNNING | {
    "cli", "config", "console", "doctor", "hub", "inspection", "libraries", "publish", "signing",
}  # fmt: skip
"""What every installation has: its import loads, through whatever it imports, none of HEAVY."""

TORCH_FREE = {"dims", "errors", "progress", "sample", "text", "program"} | RUNNING
"""Parts that import torch nowhere, not even inside a function."""

TRANSFORMERS_USERS = {"families", "source", "original", "calibrate", "capture", "integrations"}
"""The only parts that import transformers."""

HEAVY = {
    "cryptography", "datasets", "huggingface_hub", "ray", "safetensors", "torch", "transformers",
}  # fmt: skip
"""Libraries that only the extras of the project install."""


@dataclass(frozen=True)
class Import:
    """One imported module as written in one place.

    Attributes:
        file, line: where.
        importer: dotted name of the importing module.
        imported: dotted name of the imported module, or of a name inside it.
        eager: whether importing the importer executes it.
    """

    file: Path
    line: int
    importer: str
    imported: str
    eager: bool


def read_imports(package: Path) -> list[Import]:
    """Every import below the package's folder, in file order."""
    found: list[Import] = []
    for file in sorted(package.rglob("*.py")):
        importer = _module_name(file, package)
        tree = ast.parse(file.read_text(encoding="utf-8"), filename=str(file))
        for node, eager in _walk(tree, eager=True):
            for imported in _targets(node, importer, is_package=file.name == "__init__.py"):
                found.append(Import(file, node.lineno, importer, imported, eager))
    return found


def _module_name(file: Path, package: Path) -> str:
    parts = file.relative_to(package.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _walk(node: ast.AST, eager: bool) -> Iterator[tuple[ast.Import | ast.ImportFrom, bool]]:
    """The imports below a node, each with whether it runs when the module is imported."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, (ast.Import, ast.ImportFrom)):
            yield child, eager
        elif isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
            yield from _walk(child, eager=False)
        else:
            is_function = isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda))
            yield from _walk(child, eager and not is_function)


def _targets(node: ast.Import | ast.ImportFrom, importer: str, is_package: bool) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
        return
    base = node.module or ""
    if node.level:
        parents = importer.split(".")
        kept = len(parents) - node.level + is_package
        base = ".".join([*parents[:kept], *base.split(".")]).rstrip(".")
    yield from (f"{base}.{alias.name}" for alias in node.names)


def violations(imports: list[Import], root: str) -> list[str]:
    """The broken rules, each as ``file:line: rule``, for the package called ``root``."""
    broken = []
    for found in imports:
        rule = _broken_rule(found, root)
        if rule:
            broken.append(f"{found.file}:{found.line}: {rule}")
    return broken + _heavy_paths(imports, root)


def _broken_rule(found: Import, root: str) -> str | None:
    importer = _part(found.importer, root)
    imported_root, _, rest = found.imported.partition(".")
    if imported_root == "torch" and importer in TORCH_FREE:
        return f"{importer} must not import torch"
    if imported_root == "transformers" and importer not in TRANSFORMERS_USERS:
        return f"{importer} must not import transformers; {_names(TRANSFORMERS_USERS)} may"
    if imported_root != root or rest.startswith("__"):
        return None
    return _broken_layer(importer, _part(found.imported, root), found)


def _broken_layer(importer: str, imported: str, found: Import) -> str | None:
    levels = {part: level for level, layer in enumerate(LAYERS) for part in layer}
    if importer == "":
        return f"{found.importer} must import its parts lazily" if found.eager else None
    if importer == imported:
        return None
    for part in (importer, imported):
        if part not in levels:
            return f"{part or 'the package itself'} has no layer; name it in LAYERS"
    if levels[imported] == levels[importer]:
        return f"{importer} must not import {imported}, its sibling"
    if levels[imported] > levels[importer]:
        return f"{importer} must not import {imported}, which lies above it"
    return None


def _part(module: str, root: str) -> str:
    """``run`` for ``vlmforge.run.session``; the empty string for ``vlmforge`` itself."""
    return module.removeprefix(root).lstrip(".").partition(".")[0]


def _names(parts: set[str]) -> str:
    return ", ".join(sorted(parts))


def _heavy_paths(imports: list[Import], root: str) -> list[str]:
    """Each heavy library met by importing the light parts, with the way to it."""
    eager: dict[str, list[Import]] = {}
    for found in imports:
        if found.eager:
            eager.setdefault(found.importer, []).append(found)
    starts = [module for name in eager if _part(name, root) in BASE for module in _loaded(name)]
    way = {start: start for start in starts}
    queue = deque(way)
    broken = []
    while queue:
        module = queue.popleft()
        for found in eager.get(module, []):
            library = found.imported.partition(".")[0]
            if library in HEAVY:
                rule = f"an installation without extras must load without {library}"
                broken.append(f"{found.file}:{found.line}: {rule}: {way[module]} > {library}")
            for loaded in _loaded(found.imported):
                if loaded in eager and loaded not in way:
                    way[loaded] = f"{way[module]} > {loaded}"
                    queue.append(loaded)
    return broken


def _loaded(imported: str) -> Iterator[str]:
    """The modules that importing ``a.b.c`` may execute: ``a``, ``a.b``, ``a.b.c``."""
    parts = imported.split(".")
    return (".".join(parts[:count]) for count in range(1, len(parts) + 1))


def main(arguments: list[str]) -> int:
    default = Path(__file__).resolve().parents[1] / "src" / "vlmforge"
    package = Path(arguments[0]) if arguments else default
    broken = violations(read_imports(package), package.name)
    print("\n".join(broken) if broken else "layers: every import points downwards")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
