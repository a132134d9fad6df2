"""The public face: one flat list of names, which cost nothing until they are used."""

from __future__ import annotations

import ast
import inspect
import subprocess
import sys
from pathlib import Path

import pytest

import vlmforge
from vlmforge import errors
from vlmforge.config import CompileConfig
from vlmforge.config.section import Section

SOURCE = Path(vlmforge.__file__)
MODULES = {path.stem for path in SOURCE.parent.iterdir()}

DEAR = ("numpy", "PIL", "pydantic", "tokenizers", "torch", "transformers", "rich", "typer")


@pytest.mark.parametrize("name", vlmforge.__all__)
def test_every_name_can_be_imported(name: str) -> None:
    names: dict[str, object] = {}
    exec(f"from vlmforge import {name}", names)
    assert names[name] is getattr(vlmforge, name)
    assert not isinstance(names[name], type(vlmforge)), "a module hides it"


def test_no_part_of_the_package_hides_a_name() -> None:
    assert not MODULES & set(vlmforge.__all__)


def test_importing_the_package_loads_nothing() -> None:
    code = "import sys, vlmforge; dir(vlmforge); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert not loaded & set(DEAR)
    assert {name for name in loaded if name.startswith("vlmforge")} == {"vlmforge"}


def test_names_are_listed() -> None:
    assert dir(vlmforge) == sorted(vlmforge.__all__)
    assert len(set(vlmforge.__all__)) == len(vlmforge.__all__)


def test_another_name_is_none() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Sesion'"):
        _ = vlmforge.Sesion  # type: ignore[attr-defined]


def test_type_checkers_see_the_same_names() -> None:
    """They do not run ``__getattr__``; what they read instead has to say the same."""
    (seen,) = (
        node.body
        for node in ast.parse(SOURCE.read_text("utf-8")).body
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
    )
    where = {
        alias.asname: f"{node.module}:{alias.name}"
        for node in seen
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    for node in seen:
        if isinstance(node, ast.Assign):
            where[ast.unparse(node.targets[0])] = where[ast.unparse(node.value)]
    exports = {
        name: target if ":" in target else f"{target}:{name}"
        for name, target in vlmforge._EXPORTS.items()
    }
    assert {name: target for name, target in where.items() if name[0] != "_"} == exports
    assert (SOURCE.parent / "py.typed").is_file()


def test_every_error_is_public() -> None:
    family = {
        name
        for name, each in inspect.getmembers(errors, inspect.isclass)
        if issubclass(each, errors.VlmforgeError)
    }
    assert family <= set(vlmforge.__all__)


def test_every_section_of_the_configuration_is_public() -> None:
    kinds = [field.annotation for field in CompileConfig.model_fields.values()]
    sections = {k.__name__ for k in kinds if inspect.isclass(k) and issubclass(k, Section)}
    assert len(sections) >= 6 and sections <= set(vlmforge.__all__)


def test_what_was_public_still_is() -> None:
    assert vlmforge.compile_model is vlmforge.compile


def test_paths_may_be_texts(tiny_package: Path, tmp_path: Path) -> None:
    text = tmp_path / "text.txt"
    text.write_text("A red circle is left of the blue square.", encoding="utf-8")
    assert vlmforge.inspect(str(tiny_package))["kind"] == "package"
    found = vlmforge.evaluate_package(str(tiny_package), [str(text)], vlmforge.Windowing(16))
    assert found["tokens"] > 0
    with pytest.raises(vlmforge.RunError, match="cannot be read"):
        vlmforge.read_questions(str(tmp_path / "none.jsonl"))
