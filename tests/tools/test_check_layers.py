"""The layer checker finds each kind of forbidden import, and nothing in what is allowed."""

from __future__ import annotations

from pathlib import Path

import pytest

import check_layers

ROOT = Path(__file__).parents[2]


def broken(folder: Path, sources: dict[str, str]) -> list[str]:
    """The rules broken by a package ``forge`` with these modules, each path without ``.py``."""
    package = folder / "forge"
    for name, source in sources.items():
        file = package / f"{name}.py"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(source, encoding="utf-8")
    return check_layers.violations(check_layers.read_imports(package), "forge")


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("cli", "from forge.pipeline import compile_model"),
        ("cli", "from forge import pipeline, errors"),
        ("pipeline", "import forge.run.session"),
        ("graph/ops", "from forge.graph.core import Node"),
        ("graph/ops", "from .core import Node\nfrom ..errors import GraphError"),
        ("graph/core", "import torch"),
        ("graph/core", "from forge import __version__"),
        ("integrations/server", "from forge.run.session import Session"),
        ("integrations/hub", "import transformers"),
        ("source/hub", "from transformers import AutoConfig"),
        ("program/core", "import numpy"),
    ],
)
def test_downward_imports_pass(tmp_path: Path, module: str, source: str) -> None:
    assert broken(tmp_path, {module: source}) == []


@pytest.mark.parametrize(
    ("module", "source", "rule"),
    [
        ("graph/core", "from forge.run import x", "graph must not import run, which lies above"),
        ("graph/core", "from forge import run", "graph must not import run, which lies above"),
        ("graph/core", "import forge.run.session", "graph must not import run"),
        ("graph/core", "from ..run import session", "graph must not import run"),
        ("graph/core", "from .. import run", "graph must not import run"),
        ("graph/__init__", "from ..run import session", "graph must not import run"),
        ("graph/core", "from forge.program import core", "graph must not import program, its sib"),
        ("graph/core", "from forge import version", "version has no layer"),
        ("graph/core", "from . import core\nimport forge", "the package itself has no layer"),
        ("novel/core", "from forge.errors import E", "novel has no layer; name it in LAYERS"),
        ("run/session", "from forge.integrations import x", "run must not import integrations"),
        ("run/session", "def f():\n    import torch", "run must not import torch"),
        ("run/session", "def f():\n    from torch import nn", "run must not import torch"),
        ("program/core", "import torch.nn", "program must not import torch"),
        ("quantize/weights", "import transformers", "quantize must not import transformers"),
        ("cli", "from transformers import AutoModel", "cli must not import transformers"),
        ("__init__", "from forge.pipeline import x", "forge must import its parts lazily"),
    ],
)
def test_forbidden_import_is_named(tmp_path: Path, module: str, source: str, rule: str) -> None:
    found = broken(tmp_path, {module: source})
    assert any(rule in line for line in found), found


def test_file_and_line_are_given(tmp_path: Path) -> None:
    source = "import os\n\n\ndef late():\n    from forge.cli import main\n"
    (line,) = broken(tmp_path, {"graph/core": source})
    assert line.startswith(f"{tmp_path / 'forge' / 'graph' / 'core.py'}:5: ")


def test_type_checking_imports_count_for_layers(tmp_path: Path) -> None:
    source = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from forge.cli import main\n"
    assert len(broken(tmp_path, {"graph/core": source})) == 1


def test_run_must_not_load_torch_through_others(tmp_path: Path) -> None:
    found = broken(
        tmp_path,
        {
            "run/session": "from forge.formats.mxq import read",
            "formats/mxq": "from forge.graph.core import Node",
            "graph/core": "import torch",
        },
    )
    (line,) = found
    assert "must load without torch" in line
    assert "forge.run.session > forge.formats.mxq > forge.graph.core > torch" in line


@pytest.mark.parametrize("library", ["safetensors", "huggingface_hub", "datasets"])
def test_what_every_installation_has_must_not_load_an_extra(tmp_path: Path, library: str) -> None:
    sources = {"cli": "from forge.source import hub", "source/hub": f"import {library}"}
    (line,) = broken(tmp_path, sources)
    assert f"must load without {library}" in line


@pytest.mark.parametrize(
    "lazy",
    [
        "def f():\n    import torch",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import torch",
    ],
)
def test_run_may_meet_torch_that_is_not_loaded(tmp_path: Path, lazy: str) -> None:
    sources = {"run/session": "from forge.graph import core", "graph/core": lazy}
    assert broken(tmp_path, sources) == []


def test_loading_a_part_loads_the_packages_around_it(tmp_path: Path) -> None:
    found = broken(tmp_path, {"__init__": "import torch", "run/session": "import numpy"})
    assert any("must load without torch" in line for line in found)


def test_exit_status(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    broken(tmp_path, {"graph/core": "import forge.cli"})
    assert check_layers.main([str(tmp_path / "forge")]) == 1
    assert "graph must not import cli" in capsys.readouterr().out
    (tmp_path / "forge" / "graph" / "core.py").write_text("import math\n")
    assert check_layers.main([str(tmp_path / "forge")]) == 0


@pytest.mark.parametrize("page", ["CONTRIBUTING.md", "docs/design.md"])
def test_the_pages_show_the_layers(page: str) -> None:
    lines = (line.strip() for line in (ROOT / page).read_text(encoding="utf-8").splitlines())
    shown = [tuple(line.partition("  ")[0].split(", ")) for line in lines]
    start = shown.index(("__main__",))
    layers = check_layers.LAYERS[::-1]
    assert shown[start : start + len(layers)] == list(layers)
