"""What the documentation shows is real: commands parse, Python compiles, links lead somewhere."""

from __future__ import annotations

import ast
import functools
import importlib.util
import re
import shlex
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
import typer
from typer.testing import CliRunner

import vlmforge

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("tutorial/**/*.md")])
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SPAN = re.compile(r"`(vlmforge [^`]+)`")
INLINE = re.compile(r"python3? -c '([^']*)'")
LINK = re.compile(r"\]\(([^)#]+)(?:#[^)]*)?\)")

ENTRY_POINTS = {
    "vlmforge",
    "vlmforge.console",
    "vlmforge.integrations.qbruntime",
    "vlmforge.integrations.transformers",
}
"""What users import; anything else may move."""


@dataclass(frozen=True)
class Shown:
    """A command or block of code, and the page that shows it.

    Attributes:
        page: relative to the repository.
        text: as shown.
        complete: whether a reader may run it as it stands; prose may leave arguments out.
    """

    page: str
    text: str
    complete: bool = True

    def __str__(self) -> str:
        return f"{self.page}: {self.text.splitlines()[0]}"


def blocks(page: Path, *languages: str) -> list[Shown]:
    """The page's fenced blocks in one of the languages."""
    found = FENCE.findall(page.read_text(encoding="utf-8"))
    return [Shown(_name(page), text) for language, text in found if language in languages]


def commands(page: Path) -> list[Shown]:
    """The commands of the page's shell blocks, then those in its prose."""
    shell = "".join(block.text for block in blocks(page, "sh", "bash", "console"))
    lines = [line.removeprefix("$ ") for line in shell.replace("\\\n", " ").splitlines()]
    prose = SPAN.findall(FENCE.sub("", page.read_text(encoding="utf-8")))
    return [
        *(Shown(_name(page), line) for line in lines if line.startswith("vlmforge ")),
        *(Shown(_name(page), command, complete=False) for command in prose),
    ]


def _name(page: Path) -> str:
    return str(page.relative_to(ROOT))


def one_liners(page: Path) -> list[Shown]:
    """The Python of ``python -c '...'`` in the page's shell blocks."""
    found = (INLINE.findall(block.text) for block in blocks(page, "sh"))
    return [Shown(_name(page), code) for codes in found for code in codes]


COMMANDS = [command for page in PAGES for command in commands(page)]
PYTHON = [block for page in PAGES for block in (*blocks(page, "python"), *one_liners(page))]
CONTRIBUTORS = ("docs/adding-a-family.md", "docs/adding-an-operation.md")
"""Pages for whoever changes the project from within."""

SCRIPTS = [Shown(_name(file), file.read_text("utf-8")) for file in ROOT.glob("tutorial/**/*.py")]


def private_uses(code: str) -> list[str]:
    """What Python takes from vlmforge that is not public, in order."""
    used: list[str] = []
    modules: set[str] = set()
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Import):
            used += [alias.name for alias in node.names]
            modules |= {each.asname or each.name for each in node.names if each.name == "vlmforge"}
        elif isinstance(node, ast.ImportFrom):
            used += [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            used += [f"vlmforge.{node.attr}"] if node.value.id in modules else []
    return [name for name in used if name.split(".")[0] == "vlmforge" and not _is_public(name)]


def _is_public(name: str) -> bool:
    module, _, attribute = name.rpartition(".")
    if name in ENTRY_POINTS or any(entry.startswith(f"{name}.") for entry in ENTRY_POINTS):
        return True
    return module in ENTRY_POINTS and attribute in importlib.import_module(module).__all__


def disarm(app: typer.Typer, patch: pytest.MonkeyPatch) -> typer.Typer:
    """Let every command of the app parse its arguments and then do nothing."""
    for command in app.registered_commands:
        assert command.callback is not None
        patch.setattr(command, "callback", _idle(command.callback))
    for group in app.registered_groups:
        assert group.typer_instance is not None
        disarm(group.typer_instance, patch)
    return app


def _idle(callback: Callable[..., Any]) -> Callable[..., None]:
    @functools.wraps(callback)
    def idle(*arguments: Any, **options: Any) -> None: ...

    return idle


def complaint(app: typer.Typer, command: str, complete: bool = True) -> str | None:
    """What the command line objects to in a command, or None. Files need not exist."""
    arguments = shlex.split(command, comments=True)[1:]
    result = CliRunner().invoke(app, arguments, prog_name="vlmforge")
    output = re.sub(r"[\s│]+", " ", result.output)
    excused = ["does not exist"] + ([] if complete else ["Missing ", "Commands"])
    if result.exit_code == 0 or any(excuse in output for excuse in excused):
        return None
    return output


@pytest.fixture(scope="module")
def app() -> Iterator[typer.Typer]:
    """The real command line, disarmed."""
    with pytest.MonkeyPatch.context() as patch:
        yield disarm(importlib.import_module("vlmforge.cli").app, patch)


@pytest.mark.parametrize("shown", COMMANDS, ids=str)
def test_command_exists_with_these_options(shown: Shown, app: typer.Typer) -> None:
    assert complaint(app, shown.text, shown.complete) is None


@pytest.mark.parametrize(
    "shown", [each for each in (*PYTHON, *SCRIPTS) if each.page not in CONTRIBUTORS], ids=str
)
def test_python_imports_what_is_public(shown: Shown) -> None:
    assert private_uses(shown.text) == []
    for node in ast.walk(ast.parse(shown.text)):
        if isinstance(node, ast.ImportFrom) and shown in PYTHON:
            assert importlib.util.find_spec(node.module or ""), f"there is no {node.module}"


@pytest.mark.parametrize(
    ("text", "private"),
    [
        ("import vlmforge\nvlmforge.Session.open('x')", []),
        ("from vlmforge import Session, console", []),
        ("from vlmforge.console import expected_failures", []),
        ("import vlmforge.integrations.transformers", []),
        ("from vlmforge.integrations.transformers import MobilintCache", []),
        ("import numpy, torch.nn\nfrom transformers import pipeline", []),
        ("import vlmforge.run.session", ["vlmforge.run.session"]),
        ("import vlmforge.run.session as run", ["vlmforge.run.session"]),
        ("from vlmforge.run.session import Session", ["vlmforge.run.session.Session"]),
        ("from vlmforge.run import session", ["vlmforge.run.session"]),
        ("from vlmforge import run", ["vlmforge.run"]),
        ("def f():\n    from vlmforge import pipeline", ["vlmforge.pipeline"]),
        ("from vlmforge.console import output", ["vlmforge.console.output"]),
        ("from vlmforge import *", ["vlmforge.*"]),
        ("import vlmforge\nvlmforge.pipeline.compile_model('x')", ["vlmforge.pipeline"]),
        ("import vlmforge as v\nv.run.session", ["vlmforge.run"]),
    ],
)
def test_private_uses_are_found(text: str, private: list[str]) -> None:
    assert private_uses(text) == private


def test_the_page_of_public_names_lists_them_all() -> None:
    page = (ROOT / "docs" / "python.md").read_text(encoding="utf-8")
    cells = re.findall(r"^\| (`[^|]+`) \|", page, re.MULTILINE)
    listed = [name for cell in cells for name in re.findall(r"`([\w.]+)`", cell)]
    assert len(listed) == len(set(listed))
    hidden = {"__version__", "compile_model"}
    assert set(listed) == set(vlmforge.__all__) - hidden | ENTRY_POINTS - {"vlmforge"}


def test_readmes_show_the_same() -> None:
    english, korean = ROOT / "README.md", ROOT / "README.ko.md"
    languages = ("sh", "python")
    assert [c.text for c in commands(english)] == [c.text for c in commands(korean)]
    assert [b.text for b in blocks(english, *languages)] == [
        b.text for b in blocks(korean, *languages)
    ]


def test_readmes_name_the_test_command() -> None:
    for page in (ROOT / "README.md", ROOT / "README.ko.md"):
        assert "make test\n" in [block.text for block in blocks(page, "sh")]
    assert "make test" in (ROOT / ".ci" / "run").read_text(encoding="utf-8")


@pytest.mark.parametrize("page", PAGES, ids=_name)
def test_links_lead_to_files(page: Path) -> None:
    targets = LINK.findall(FENCE.sub("", page.read_text(encoding="utf-8")))
    missing = [t for t in targets if "://" not in t and not (page.parent / t).exists()]
    assert not missing


@pytest.fixture
def small_app(monkeypatch: pytest.MonkeyPatch) -> typer.Typer:
    """A command line to test :func:`complaint` with."""
    app, calibrate = typer.Typer(), typer.Typer(no_args_is_help=True)
    app.add_typer(calibrate, name="calibrate")

    @app.callback()
    def everything() -> None: ...

    @calibrate.command()
    def vision(model: str, count: int = 1, device: Literal["cpu", "gpu"] = "cpu") -> None:
        raise AssertionError("the command was run")

    @calibrate.command()
    def language(folder: Annotated[Path, typer.Argument(exists=True)]) -> None:
        raise AssertionError("the command was run")

    return disarm(app, monkeypatch)


@pytest.mark.parametrize(
    ("command", "complete"),
    [
        ("calibrate vision MODEL --count 3 --device gpu  # three of them", True),
        ("calibrate language nowhere", True),
        ("calibrate vision", False),
        ("calibrate", False),
    ],
)
def test_good_commands_pass(small_app: typer.Typer, command: str, complete: bool) -> None:
    assert complaint(small_app, f"vlmforge {command}", complete) is None


@pytest.mark.parametrize(
    ("command", "complete"),
    [
        ("calibrate sound MODEL", False),
        ("calibrate vision MODEL --number 3", False),
        ("calibrate vision --number 3", False),
        ("calibrate vision MODEL --count many", False),
        ("calibrate vision MODEL --device npu", False),
        ("calibrate vision MODEL OTHER", False),
        ("calibrate vision", True),
        ("calibrate", True),
    ],
)
def test_bad_commands_are_found(small_app: typer.Typer, command: str, complete: bool) -> None:
    assert complaint(small_app, f"vlmforge {command}", complete) is not None
