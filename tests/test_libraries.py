"""Libraries that are missing, too old or broken are told in words, with the remedy."""

from __future__ import annotations

import sys
from importlib import metadata
from pathlib import Path

import pytest

from vlmforge import libraries
from vlmforge.errors import InstallError, VlmforgeError
from vlmforge.libraries import (
    CLUSTERS,
    COMPILING,
    PHOTOS,
    RUNNING,
    SERVING,
    SHARING,
    SIGNING,
    Absent,
    Library,
    require_libraries,
)

PROJECT = Path(__file__).parents[1] / "pyproject.toml"


def test_pyproject_asks_for_the_same() -> None:
    tomllib = pytest.importorskip("tomllib")
    project = tomllib.loads(PROJECT.read_text("utf-8"))["project"]
    extras = project["optional-dependencies"]
    for asked, known in (
        (project["dependencies"], RUNNING),
        (extras["compile"], COMPILING),
        (extras["coco"], PHOTOS),
        (extras["serve"], SERVING),
        (extras["hub"], SHARING),
        (extras["sign"], SIGNING),
        (extras["ray"], CLUSTERS),
    ):
        everywhere = [each for each in asked if ";" not in each]
        assert sorted(everywhere) == sorted(library.requirement for library in known)


def test_those_there_are_found() -> None:
    require_libraries("the test")
    for library in (*RUNNING, *COMPILING, *SERVING, *SIGNING):
        assert library.lack() is None and library.defect() is None
        assert library.version() == metadata.version(library.name)


def test_a_missing_one_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(InstallError) as caught:
        require_libraries("vlmforge.compile")
    assert caught.value.what.startswith("vlmforge.compile needs") and "torch" in caught.value.what
    assert "transformers" not in caught.value.what
    assert caught.value.mend == "pip install 'vlmforge[compile]'"
    assert isinstance(caught.value, VlmforgeError) and isinstance(caught.value, ImportError)


@pytest.mark.parametrize(
    ("version", "serves"),
    [
        ("2.8.9", False),
        ("1.13.0+cpu", False),
        ("2.9", True),
        ("2.10.1+cu130", True),
        ("2.9.0a0+git1234", True),
        ("built here", True),
    ],
)
def test_an_old_one_is_named(version: str, serves: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metadata, "version", lambda name: version)
    lack = Library("torch", "2.9").lack()
    assert lack is None if serves else lack == f"{version} is older than 2.9"


def test_one_without_metadata_serves(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(name: str) -> str:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "version", unknown)
    assert Library("torch", "2.9").lack() is None


def test_a_broken_one_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "brokenlib.py").write_text("raise OSError('libgone.so: cannot open\\nmore')")
    (tmp_path / "brokenlib-3.0.dist-info").mkdir()
    (tmp_path / "brokenlib-3.0.dist-info" / "METADATA").write_text("Name: brokenlib\nVersion: 3.0")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(libraries, "COMPILING", (Library("brokenlib", "2.0"),))
    with pytest.raises(InstallError, match=r"cannot be loaded: brokenlib \(libgone.so") as caught:
        require_libraries("the test")
    assert "\n" not in caught.value.what
    assert caught.value.mend and "--force-reinstall brokenlib" in caught.value.mend


def test_what_stands_for_a_name_raises_wherever_it_is_used() -> None:
    absent = Absent.of("Checkpoint", InstallError("it is missing", mend="install it"))
    for use in (lambda: absent("model", out="x"), lambda: absent.open("model")):
        with pytest.raises(InstallError, match="it is missing"):
            use()


def test_what_stands_for_a_name_may_be_mentioned() -> None:
    absent = Absent.of("Checkpoint", InstallError("it is missing"))
    assert not isinstance("model", absent) and not hasattr(absent, "__wrapped__")
    assert str(absent | None) and "Checkpoint" in repr(absent)
