"""Only what is provably this project's is replaced, and what cannot be written is told at once."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest

from vlmforge.config import CompileConfig
from vlmforge.errors import CalibrationError, OutputError, PackageError, SystemFailure
from vlmforge.formats import kinds
from vlmforge.formats.infer import write_infer
from vlmforge.formats.output import expanded, require_apart, require_replaceable
from vlmforge.formats.sample_writer import SampleWriter

DIRECTORIES = [kinds.PACKAGE, kinds.IMAGES, kinds.SAMPLES]


def make_package(path: Path) -> Path:
    """A directory as a package is, but for what the files hold."""
    path.mkdir()
    vision = {"mxq_path": "a_vision_transformer.mxq"}
    config = {"model_type": "mobilint-x", "mxq_path": "a_text_model.mxq", "vision_config": vision}
    (path / "config.json").write_text(json.dumps(config))
    for name in ("a_text_model.mxq", "a_vision_transformer.mxq", "tokenizer.json"):
        (path / name).touch()
    return path


def make_images(path: Path) -> Path:
    path.mkdir()
    (path / "source.json").write_text(json.dumps({"images": {"image_0000.jpg": "a"}}))
    (path / "image_0000.jpg").touch()
    return path


def make_samples(path: Path) -> Path:
    with SampleWriter(path.parent, "language", {}) as writer:
        writer.add({"inputs_embeds": np.zeros(3, np.float32)})
    return writer.path.rename(path)


MAKERS = list(zip(DIRECTORIES, (make_package, make_images, make_samples), strict=True))
NAMES = [kind.name for kind in DIRECTORIES]


@pytest.mark.parametrize("kind", [*DIRECTORIES, kinds.FOLDER], ids=lambda kind: kind.name)
def test_new_and_empty_directories(kind: kinds.Kind, tmp_path: Path) -> None:
    assert require_replaceable(tmp_path / "a" / "new", kind) == tmp_path / "a" / "new"
    (tmp_path / "empty").mkdir()
    require_replaceable(f"{tmp_path / 'empty'}/", kind)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["empty"]


@pytest.mark.parametrize(("kind", "make"), MAKERS, ids=NAMES)
def test_earlier_outputs(kind: kinds.Kind, make: object, tmp_path: Path) -> None:
    path = make(tmp_path / "made")  # type: ignore[operator]
    assert require_replaceable(path, kind) == path
    (tmp_path / "link").symlink_to(path)
    assert require_replaceable(tmp_path / "link", kind) == tmp_path / "link"


@pytest.mark.parametrize(("kind", "make"), MAKERS, ids=NAMES)
@pytest.mark.parametrize("name", ["thesis.txt", "other_text_model.mxq", "image_0009.jpg", ".git"])
def test_one_foreign_file_suffices(
    kind: kinds.Kind, make: object, name: str, tmp_path: Path
) -> None:
    path = make(tmp_path / "made")  # type: ignore[operator]
    (path / name).touch()
    with pytest.raises((PackageError, CalibrationError), match=f"other files: {name}"):
        require_replaceable(path, kind)


@pytest.mark.parametrize(("kind", "make"), MAKERS, ids=NAMES)
def test_names_alone_prove_nothing(kind: kinds.Kind, make: object, tmp_path: Path) -> None:
    path = make(tmp_path / "made")  # type: ignore[operator]
    assert kind.proof is not None
    (path / kind.proof).write_text('{"architectures": ["Qwen2ForCausalLM"]}')
    with pytest.raises((PackageError, CalibrationError), match="other files"):
        require_replaceable(path, kind)


@pytest.mark.parametrize(("kind", "make"), MAKERS, ids=NAMES)
def test_links_and_folders_by_our_names_are_not_ours(
    kind: kinds.Kind, make: object, tmp_path: Path
) -> None:
    path = make(tmp_path / "made")  # type: ignore[operator]
    inner = next(entry for entry in sorted(path.iterdir()) if entry.name != kind.proof)
    inner.rename(tmp_path / "elsewhere")
    inner.symlink_to(tmp_path / "elsewhere")
    with pytest.raises((PackageError, CalibrationError), match=f"other files: {inner.name}"):
        require_replaceable(path, kind)


def test_a_note_within_a_sample(tmp_path: Path) -> None:
    path = make_samples(tmp_path / "made")
    (path / "sample_000" / "note.txt").touch()
    with pytest.raises(CalibrationError, match=r"note\.txt"):
        require_replaceable(path, kinds.SAMPLES)


def test_files_prove_themselves_by_their_form(tmp_path: Path) -> None:
    path = tmp_path / "values.infer"
    write_infer(path, {"x": np.ones(3, np.float32)})
    require_replaceable(path, kinds.VALUES)
    settings = tmp_path / "tuned.json"
    settings.write_bytes(kinds.configuration_text(CompileConfig.parse({"seed": 3})))
    require_replaceable(settings, kinds.CONFIGURATION)
    page = tmp_path / "page.html"
    page.write_bytes(b"<html>" + kinds.PAGE_MARK)
    require_replaceable(page, kinds.PAGE)


@pytest.mark.parametrize(
    "kind", [kinds.PROGRAM, kinds.VALUES, kinds.CONFIGURATION, kinds.PAGE, kinds.ROTATION],
    ids=lambda kind: kind.name,
)  # fmt: skip
@pytest.mark.parametrize("text", ["my notes", "", '{"seed": 3}', "<html></html>"])
def test_files_of_others_stay(kind: kinds.Kind, text: str, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text(text)
    with pytest.raises(kind.error, match="wrote"):
        require_replaceable(path, kind)


def test_the_wrong_sort(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("precious")
    with pytest.raises(OutputError, match="a file stands"):
        require_replaceable(tmp_path / "file", kinds.PACKAGE)
    with pytest.raises(SystemFailure, match="a file stands where a directory"):
        require_replaceable(tmp_path / "file" / "below", kinds.PACKAGE)
    with pytest.raises(SystemFailure, match="a directory stands"):
        require_replaceable(tmp_path, kinds.CONFIGURATION)
    with pytest.raises(OutputError, match="no plain file"):
        require_replaceable(os.devnull, kinds.CONFIGURATION)
    with pytest.raises(OutputError, match="disk of its own"):
        require_replaceable("/", kinds.PACKAGE)


def test_paths_that_cannot_be(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="user who does not exist"):
        require_replaceable("~nosuchuser/package", kinds.PACKAGE)
    (tmp_path / "circle").symlink_to("circle")
    with pytest.raises(SystemFailure, match="circle"):
        require_replaceable(tmp_path / "circle" / "package", kinds.PACKAGE)
    for name in ("x" * 256, f"{'x' * 256}/package"):
        with pytest.raises(SystemFailure, match="too long"):
            require_replaceable(tmp_path / name, kinds.PACKAGE)


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is denied to root")
def test_a_directory_without_permission(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(SystemFailure, match="permission"):
        require_replaceable(tmp_path / "new", kinds.PACKAGE)


def test_home_and_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    assert expanded("~/package") == tmp_path / "home" / "package"
    assert expanded(".") == tmp_path
    assert require_replaceable("a b/✓/", kinds.PACKAGE) == tmp_path / "a b" / "✓"


def test_a_work_directory_in_the_output_is_refused(tmp_path: Path) -> None:
    require_apart(tmp_path / "package", tmp_path / "package.work")
    for inner in ("package", "package/work", "other/../package"):
        with pytest.raises(OutputError, match="replaced as a whole"):
            require_apart(tmp_path / "package", tmp_path / inner)
