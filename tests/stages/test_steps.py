"""A compilation goes on from what was made before, and from nothing that is stale."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.signing.keys import write_keys
from vlmforge.config import CompileConfig
from vlmforge.errors import ConfigError, OutputError
from vlmforge.formats.mblt import read_mblt
from vlmforge.formats.package import SIGNATURE_FILE
from vlmforge.graph.ops import PRODUCTS
from vlmforge.pipeline import Summary, compile_model
from vlmforge.quantize.weights import rounding
from vlmforge.signing.keys import SigningKey
from vlmforge.signing.package import sign_package
from vlmforge.stages.calibration import TextCalibration

ALL = ("check", "calibrate text", "mblt language", "mxq language", "package")
NAMING = ("metadata.json", "npy_files.txt")
NAME = "Tiny-LM_text_model"


def compiled(model: Path, place: Path, **options: Any) -> Summary:
    asked = {"text": TextCalibration([place / "text.txt"], 32), "num_samples": 3, **options}
    return compile_model(model, place / "out", **asked)


def bits(place: Path) -> dict[str, str]:
    """SHA-256 of what a compilation leaves, but for what names a directory."""
    return {
        str(path.relative_to(place)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(place.rglob("*"))
        if path.is_file() and path.name not in NAMING and path.parent.name != "steps"
    }


@pytest.fixture(scope="module")
def whole(tiny_decoder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with a model, a text, a package and its work directory."""
    place = tmp_path_factory.mktemp("whole")
    shutil.copytree(tiny_decoder, place / "Tiny-LM")
    (place / "text.txt").write_text("The square is left of the circle, which is red. " * 40)
    assert set(compiled(place / "Tiny-LM", place).seconds) == set(ALL)
    return place


@pytest.fixture
def place(whole: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(whole, tmp_path / "place"))


def compiled_again(place: Path, **options: Any) -> tuple[str, ...]:
    """The steps that ran."""
    return tuple(compiled(place / "Tiny-LM", place, **options).seconds)


def test_nothing_runs_twice(place: Path) -> None:
    before = bits(place)
    told: list[str] = []
    assert compiled_again(place, announce=told.append) == ("package",)  # it lies elsewhere now
    assert "mxq language: made already" in told
    assert compiled_again(place) == ()
    assert bits(place) == before


def alter(path: Path) -> None:
    """Change a byte of a tensor, or add one to a document."""
    data = bytearray(path.read_bytes())
    if path.suffix == ".json":
        data += b"\n"
    else:
        data[-1] ^= 1
    path.write_bytes(data)


WORK = "out.work"


@pytest.mark.parametrize(
    ("file", "ran"),
    [
        (f"{WORK}/calibration_data/language/sample_001/inputs_embeds.npy", ALL[1:-1]),
        (f"{WORK}/mblt/{NAME}.mblt", ALL[2:3]),
        (f"{WORK}/mblt/{NAME}.json", ALL[2:3]),
        (f"{WORK}/spinWeight/{NAME}/R1/global_rotation.pth", ALL[3:4]),
        (f"{WORK}/mxq/{NAME}.mxq", ALL[3:4]),
        ("out/model.safetensors", ()),
    ],
)
@pytest.mark.parametrize("harm", [alter, Path.unlink])
def test_what_is_damaged_is_made_again(
    place: Path, file: str, ran: tuple[str, ...], harm: Callable[[Path], None]
) -> None:
    before = bits(place)
    harm(place / file)
    assert compiled_again(place) == (*ran, "package")
    assert bits(place) == before


def another_text(place: Path) -> dict[str, Any]:
    (place / "text.txt").write_text("A green triangle is above the star and below the cross. " * 40)
    return {}


def another_tokenizer(place: Path) -> dict[str, Any]:
    path = place / "Tiny-LM" / "tokenizer_config.json"
    path.write_text(path.read_text() + "\n")
    return {}


def another_seed(place: Path) -> dict[str, Any]:
    return {"seed": 1}


def another_configuration(place: Path) -> dict[str, Any]:
    bits = {"bit": {"transformer": {"weight": {"ffn": 4}, "weightGroup": 32}}}
    return {"config": CompileConfig.parse(bits)}


@pytest.mark.parametrize(
    ("change", "ran"),
    [
        (another_text, ALL),
        (another_tokenizer, ALL),
        (another_seed, ALL),
        (another_configuration, ALL[3:]),
    ],
)
def test_what_is_asked_for_now_is_made(
    place: Path,
    tmp_path: Path,
    change: Callable[[Path], dict[str, Any]],
    ran: tuple[str, ...],
) -> None:
    options = change(place)
    assert compiled_again(place, **options) == ran
    fresh = tmp_path / "fresh"
    fresh.mkdir()
    shutil.copytree(place / "Tiny-LM", fresh / "Tiny-LM")
    shutil.copyfile(place / "text.txt", fresh / "text.txt")
    compiled(fresh / "Tiny-LM", fresh, **options)
    for path in (fresh / "out").iterdir():
        assert path.read_bytes() == (place / "out" / path.name).read_bytes()


def test_learning_that_was_stopped_is_not_taken_for_whole(place: Path) -> None:
    config = CompileConfig.parse({"learnWeightScale": {"apply": True, "steps": 4}})
    compiled_again(place, config=config, progress=_stop_learning)
    told: list[str] = []
    assert "mxq language" in compiled_again(place, config=config, announce=told.append)
    assert "mxq language: another end of learning" in told
    assert compiled_again(place, config=config) == ()


def _stop_learning(text: str, done: int, total: int) -> None:
    if text.startswith("learning"):
        raise KeyboardInterrupt


def test_records_replace_nothing_of_the_users(place: Path) -> None:
    (place / WORK / "steps" / "check.json").write_text(json.dumps({"mine": 1}))
    with pytest.raises(OutputError, match=r"not a record of a step"):
        compiled_again(place)


def test_an_interrupted_quantization_goes_on_to_the_same_bytes(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = bits(place)
    (place / WORK / "mxq" / f"{NAME}.mxq").unlink()
    quantized, made = rounding.compensate, list[str]()

    def killed(*given: Any) -> Any:
        if len(made) == 5:
            raise KeyboardInterrupt
        made.append("")
        return quantized(*given)

    with monkeypatch.context() as patched:
        patched.setattr(rounding, "compensate", killed)
        with pytest.raises(KeyboardInterrupt):
            compiled_again(place)
    kept = place / WORK / "kept" / "language"
    assert len(list(kept.glob("0*.kept"))) == 5 and (kept / "observed.kept").exists()
    monkeypatch.setattr(rounding, "compensate", lambda *given: made.append("") or quantized(*given))
    assert compiled_again(place) == ("mxq language", "package")
    graph = read_mblt(place / WORK / "mblt" / f"{NAME}.mblt")
    assert len(made) == sum(node.op in PRODUCTS for node in graph.nodes.values())
    assert bits(place) == before and not (place / WORK / "kept").exists()


def test_a_signature_added_later_leaves_the_package_as_made(place: Path, tmp_path: Path) -> None:
    compiled_again(place)
    sign_package(place / "out", SigningKey.load(write_keys(tmp_path).private))
    before = bits(place)
    assert compiled_again(place) == () and bits(place) == before
    alter(place / "out" / "model.safetensors")
    assert compiled_again(place) == ("package",)
    assert not (place / "out" / SIGNATURE_FILE).exists(), "it was of what was altered"


def test_a_signature_that_is_asked_for_is_made_again(place: Path, tmp_path: Path) -> None:
    keys, others = (SigningKey.load(write_keys(tmp_path, name).private) for name in "ab")
    compiled_again(place, sign=keys)
    before = bits(place)
    assert compiled_again(place, sign=keys) == ()
    sign_package(place / "out", others)
    assert compiled_again(place, sign=keys) == ("package",) and bits(place) == before


def test_several_configurations_share_samples_and_graphs(place: Path, tmp_path: Path) -> None:
    alone = {"a": CompileConfig(), "b": another_configuration(place)["config"]}
    ran = compiled_again(place, config=alone, work_dir=place / WORK)
    assert ran == tuple(f"{step} of {name}" for name in "ab" for step in ALL[3:])
    told: list[str] = []
    both = {**alone, "c": CompileConfig.parse({"seed": 1})}
    ran = compiled_again(place, config=both, announce=told.append)
    assert ran == ("mxq language of c", "package of c")
    assert "mxq language of b: made already" in told
    for name, config in both.items():
        single = tmp_path / name
        shutil.copytree(place / "Tiny-LM", single / "Tiny-LM")
        shutil.copyfile(place / "text.txt", single / "text.txt")
        compiled(single / "Tiny-LM", single, config=config)
        for path in (single / "out").iterdir():
            assert path.read_bytes() == (place / "out" / name / path.name).read_bytes()


def test_a_package_made_in_the_models_directory_is_none_of_its_files(place: Path) -> None:
    model = place / "Tiny-LM"
    asked: dict[str, Any] = {"text": TextCalibration([place / "text.txt"], 32), "num_samples": 3}
    assert set(compile_model(model, model / "out", **asked).seconds) == set(ALL)
    assert compile_model(model, model / "out", **asked).seconds == {}


@pytest.mark.parametrize("name", ["..", "a/b", "", ".hidden", "a b"])
def test_a_name_that_is_no_directorys_is_refused(place: Path, name: str) -> None:
    with pytest.raises(ConfigError, match="cannot name a directory"):
        compiled_again(place, config={name: CompileConfig()})
