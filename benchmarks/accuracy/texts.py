"""Write calibration and evaluation text from the modules of Python's standard library.

    python benchmarks/accuracy/texts.py DIRECTORY

makes ``calibration/MODULE.txt``, ``evaluation.txt`` and ``texts.json``, which names the Python
version, the modules and the SHA-256 of each file. No module gives text to both. The text is that
of the running Python, so figures compare only between runs of one Python version.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.util
import json
import platform
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

EVALUATION_CHARACTERS = 3600
"""Of each module, from its beginning; whole lines. Some 1,000 tokens."""


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
    assert not set(CALIBRATION) & set(EVALUATION)
    texts = {f"calibration/{module}.txt": source(module) for module in CALIBRATION}
    parts = [beginning(source(module), EVALUATION_CHARACTERS) for module in EVALUATION]
    texts["evaluation.txt"] = "".join(parts)
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
        "evaluation": EVALUATION,
        "sha256": write(directory),
    }
    (directory / "texts.json").write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")
    print(f"{directory}: {len(CALIBRATION)} calibration texts, evaluation.txt")


if __name__ == "__main__":
    main()
