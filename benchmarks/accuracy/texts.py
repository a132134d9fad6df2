"""Write calibration and evaluation text from the modules of Python's standard library.

    python benchmarks/accuracy/texts.py DIRECTORY

makes ``calibration/MODULE.txt`` of some modules, ``wide/MODULE.txt`` of nearly all,
``evaluation.txt``, ``development.txt`` to choose methods by, and ``texts.json``, which names the
Python version, the modules and the SHA-256 of each file. No module gives text to two of calibration
(of either kind), development and evaluation. The text is that of the running Python, so figures
compare only between runs of one Python version.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.util
import json
import platform
import sys
import sysconfig
from pathlib import Path

CALIBRATION = (
    *("argparse", "ast", "asyncio.events", "bdb", "calendar", "cmd", "collections"),
    *("concurrent.futures.thread", "configparser", "csv", "datetime", "decimal", "difflib"),
    *("email.message", "enum", "ftplib", "gettext", "html.parser", "http.client", "inspect"),
    *("locale", "mailbox", "pathlib", "pickle", "random", "sched", "smtplib", "socket"),
    *("sqlite3.dump", "string", "tarfile", "threading", "typing", "unittest.case"),
    *("urllib.request", "uuid", "xml.dom.minidom", "zipfile"),
)

EVALUATION = (
    *("heapq", "textwrap", "statistics", "functools", "shlex", "contextlib", "fractions"),
    *("queue", "graphlib", "bisect", "copy", "tempfile"),
)

DEVELOPMENT = (
    *("optparse", "imaplib", "trace", "logging", "plistlib", "shutil", "subprocess", "selectors"),
    *("ipaddress", "dataclasses", "pprint", "getopt"),
)

CHARACTERS = 3600
"""Of each module judged by, from its beginning; whole lines. Some 1,000 tokens."""

NARROW = ("encodings", "ensurepip", "idlelib", "lib2to3", "pydoc_data", "turtledemo")
"""Packages whose text is tables, or unlike that of a library."""


def wide() -> dict[str, Path]:
    """Files of the standard library's modules, but for tests and those that are judged by."""
    library = Path(sysconfig.get_path("stdlib"))
    top = [path for path in library.iterdir() if path.stem in sys.stdlib_module_names]
    files = [f for path in top for f in ([path] if path.is_file() else path.rglob("*.py"))]
    modules = {".".join(f.relative_to(library).with_suffix("").parts): f for f in sorted(files)}
    return {name: file for name, file in modules.items() if not _left_out(name.split("."))}


def _left_out(parts: list[str]) -> bool:
    beginnings = {".".join(parts[:end]) for end in range(1, len(parts) + 1)}
    return bool({"test", "tests", *NARROW} & set(parts) or {*EVALUATION, *DEVELOPMENT} & beginnings)


def source(module: str) -> str:
    """The source text of a module, which is not executed (its packages are)."""
    found = importlib.util.find_spec(module)
    if found is None or found.origin is None or not found.origin.endswith(".py"):
        raise SystemExit(f"the module {module} has no source file in this Python")
    return Path(found.origin).read_text(encoding="utf-8")


def beginning(text: str, characters: int) -> str:
    """The first whole lines of a text, at most so many characters."""
    return text[: text.rfind("\n", 0, characters) + 1]


def write(directory: Path) -> dict[str, str]:
    """Write all texts; name to SHA-256."""
    texts = {f"calibration/{module}.txt": source(module) for module in CALIBRATION}
    texts |= {f"wide/{name}.txt": file.read_text("utf-8") for name, file in wide().items()}
    for name, modules in {"evaluation": EVALUATION, "development": DEVELOPMENT}.items():
        assert not set(CALIBRATION) & set(modules)
        texts[f"{name}.txt"] = "".join(beginning(source(each), CHARACTERS) for each in modules)
    for name, text in texts.items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return {name: hashlib.sha256(text.encode()).hexdigest() for name, text in texts.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description="Write calibration and evaluation text.")
    parser.add_argument("directory", type=Path)
    directory = parser.parse_args().directory
    facts = {
        "python": platform.python_version(),
        "calibration": CALIBRATION,
        "wide": [*wide()],
        "evaluation": EVALUATION,
        "development": DEVELOPMENT,
        "sha256": write(directory),
    }
    (directory / "texts.json").write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")
    print(f"{directory}: {len(CALIBRATION)} or {len(wide())} calibration texts, evaluation.txt")


if __name__ == "__main__":
    main()
