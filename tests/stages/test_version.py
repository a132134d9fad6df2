"""The version of a stage covers the code it runs, and no other."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from vlmforge.source.checkpoint import Checkpoint
from vlmforge.stages import version
from vlmforge.stages.facts import model_facts
from vlmforge.stages.version import code_version


def forget() -> None:
    """As a process that has looked at nothing yet."""
    for known in (version._imports, version._sources, code_version):
        known.cache_clear()


@pytest.fixture
def sources(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A package of its own: ``a.one`` imports ``b.two`` in a function, and that ``c``."""
    monkeypatch.setattr(version, "ROOT", tmp_path)
    for name, text in {
        "a/one.py": "def f():\n    from vlmforge.b import two\n    return two\n",
        "b/__init__.py": "",
        "b/two.py": "from vlmforge.c.three import x\nimport json\n",
        "b/other.py": "",
        "c/three.py": "x = 1\n",
    }.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    forget()
    yield tmp_path
    forget()


@pytest.mark.parametrize(
    ("file", "covered"), [("a/one.py", True), ("c/three.py", True), ("b/other.py", False)]
)
def test_what_is_imported_is_covered(sources: Path, file: str, covered: bool) -> None:
    before = code_version("a.one")
    assert code_version("a.one") == before
    path = sources / file
    path.write_text(path.read_text() + "# changed\n")
    forget()
    assert (code_version("a.one") != before) == covered


def test_the_declaration_of_a_models_family_is_covered(
    tiny_checkpoint: Path, tiny_decoder: Path
) -> None:
    said = [
        model_facts(Checkpoint.open(str(model)))["declaration of its family"]
        for model in (tiny_checkpoint, tiny_decoder)
    ]
    assert said == [code_version("families.qwen2_vl"), code_version("families.qwen2")]
    assert len({*said, code_version()}) == 3
