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

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("tutorial/**/*.md")])
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SPAN = re.compile(r"`(vlmforge [^`]+)`")
LINK = re.compile(r"\]\(([^)#]+)(?:#[^)]*)?\)")


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


COMMANDS = [command for page in PAGES for command in commands(page)]
PYTHON = [block for page in PAGES for block in blocks(page, "python")]


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


@pytest.mark.parametrize("shown", PYTHON, ids=str)
def test_python_compiles_and_finds_its_modules(shown: Shown) -> None:
    tree = ast.parse(shown.text)
    imports = [node for node in ast.walk(tree) if isinstance(node, (ast.Import, ast.ImportFrom))]
    for node in imports:
        names = [alias.name for alias in node.names]
        for module in names if isinstance(node, ast.Import) else [node.module or ""]:
            assert importlib.util.find_spec(module), f"there is no module {module}"


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
