"""The whole flow on a model that is not the bundled one, and what stops it."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from tests.config.test_compile import TUTORIAL
from vlmforge.config import CalibrationOutput, CompileConfig
from vlmforge.decode.generate import Options
from vlmforge.errors import (
    CalibrationError,
    ConfigError,
    FormatError,
    OutputError,
    PackageError,
    RotationError,
    RunError,
    SourceError,
)
from vlmforge.formats.infer import read_infer
from vlmforge.formats.mblt import read_mblt
from vlmforge.formats.mxq import read_mxq
from vlmforge.formats.package import open_package
from vlmforge.formats.samples import read_samples
from vlmforge.images.layout import FIXED
from vlmforge.original.reference import ReferenceModel
from vlmforge.package.build import build_package
from vlmforge.pipeline import Summary, compile_model
from vlmforge.run.conversation import Conversation
from vlmforge.run.session import Session
from vlmforge.source.checkpoint import Checkpoint
from vlmforge.stages.mxq import mxq_compile
from vlmforge.stages.overrides import split_overrides
from vlmforge.stages.package import write_package
from vlmforge.stages.rotation import read_r1
from vlmforge.stages.workspace import Workspace
from vlmforge.transform.choose import scales
from vlmforge.transform.choose.learn import rotations


def compiled(model: Path, out: Path) -> Summary:
    return compile_model(
        str(model), out, images="synthetic", num_samples=3, max_new_tokens=6, layout=FIXED
    )


@pytest.fixture(scope="module")
def package(tiny_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("compiled") / "package"
    summary = compiled(tiny_checkpoint, out)
    assert set(summary.checks) == {"language", "vision"}
    assert all(error < 1e-4 for error in summary.checks.values())
    return out


def test_given_answers_calibrate(tiny_checkpoint: Path, tmp_path: Path) -> None:
    lines = []
    for index, color in enumerate(("red", "blue")):
        Image.new("RGB", (60 + 30 * index, 60), color).save(tmp_path / f"{color}.png")
        lines.append({"image": f"{color}.png", "question": "Which color?", "answer": color})
    file = tmp_path / "answers.jsonl"
    file.write_text("\n".join(map(json.dumps, lines)))

    summary = compile_model(str(tiny_checkpoint), tmp_path / "out", answers=file)

    assert summary.answers == "given" and "images" not in summary.seconds
    programs = [read_mxq(path).meta for path in (tmp_path / "out").glob("*.mxq")]
    assert {meta["samples"].get("answers") for meta in programs} == {"given", None}


@pytest.fixture
def space(package: Path, tmp_path: Path) -> Workspace:
    work = tmp_path / "work"
    shutil.copytree(package.with_name("package.work"), work)
    return Workspace(work, "Tiny-VL")


def test_the_package_stands_alone(package: Path, tmp_path: Path) -> None:
    alone = tmp_path / "alone"
    shutil.copytree(package, alone)
    image = next((package.with_name("package.work") / "images").glob("*.jpg"))
    parts = [{"type": "image", "image": str(image)}, {"type": "text", "text": "Describe."}]
    answer = Conversation(Session.open(alone)).generate(
        [{"role": "user", "content": parts}], Options(max_new_tokens=4)
    )
    assert len(answer.token_ids) == 4


def test_logits_follow_the_original(package: Path, tiny_checkpoint: Path) -> None:
    original = ReferenceModel.load(Checkpoint.open(str(tiny_checkpoint)))
    image = next((package.with_name("package.work") / "images").glob("*.jpg"))
    answer = original.answer(image, "Describe the image.", 8)
    parts = [
        {"type": "image", "image": str(image)},
        {"type": "text", "text": "Describe the image."},
    ]
    messages = [{"role": "user", "content": parts}]
    logits = Conversation(Session.open(package)).teacher_forced(messages, answer.token_ids)
    noise = np.square(logits - answer.logits.numpy()).mean()
    assert noise < 0.05 * np.square(answer.logits.numpy()).mean()


def test_programs_tell_what_they_follow_from(package: Path, space: Workspace) -> None:
    opened = open_package(package)
    assert opened.vision is not None
    metas = {"language": opened.text.meta, "vision": opened.vision.meta}
    for part, meta in metas.items():
        samples = read_samples(space.calibration, part)
        assert meta["calibration"] == samples.fingerprint()
        assert meta["samples"] == samples.options()
        assert (meta["samples"]["count"], meta["samples"]["image_source"]) == (3, "scenes")
        assert (meta["compile_config"]["seed"], meta["device"]) == (0, "cpu")
    answers = metas["language"]["samples"]
    options = (answers["max_new_tokens"], answers["dtype"], answers["device"])
    assert options == (6, "float32", "cpu")


def test_config_and_embedding_are_as_in_the_tutorial(package: Path) -> None:
    config = json.loads((package / "config.json").read_text("utf-8"))
    assert config["architectures"] == ["MobilintQwen2VLForConditionalGeneration"]
    assert config["mxq_path"] == "Tiny-VL_text_model.mxq"
    assert config["vision_config"]["mxq_path"] == "Tiny-VL_vision_transformer.mxq"
    assert list(load_file(package / "model.safetensors")) == [
        "model.language_model.embed_tokens.weight"
    ]


def test_every_value_of_a_sample_is_kept(space: Workspace) -> None:
    values = read_infer(space.mblt("vision").with_suffix(".infer"))
    report = json.loads(space.mblt("vision").with_suffix(".json").read_text("utf-8"))
    assert {entry["name"] for entry in report["values"]} <= set(values)


def test_two_compiles_give_the_same_bytes(
    package: Path, tiny_checkpoint: Path, tmp_path: Path
) -> None:
    compiled(tiny_checkpoint, tmp_path / "again")
    for file in package.glob("*.mxq"):
        assert file.read_bytes() == (tmp_path / "again" / file.name).read_bytes()


def quantize(space: Workspace, component: str, **options: object) -> Path:
    where = {"calib_data_path": str(space.calibration), "rotation_path": str(space.rotation)}
    return mxq_compile(str(space.mblt(component)), str(space.mxq(component)), **where | options)


def test_the_tutorials_configuration_compiles(
    space: Workspace, tiny_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scales, "STEPS", 3)
    document = json.loads(TUTORIAL)
    head = document["equivalentTransformation"]["HeadOutChRotation"]
    head["matrixPath"] = str(space.rotation)
    config = CompileConfig.parse(document)
    overrides = config.bit.layer_overrides
    quantize(space, "language", compile_config=config, overrides=overrides)
    none = overrides.model_copy(update={"activation_16bits": ()})
    quantize(space, "vision", compile_config=config, overrides=none)
    write_package(Checkpoint.open(str(tiny_checkpoint)), space, tmp_path / "package", config)
    open_package(tmp_path / "package")


def test_lengths_that_are_asked_for_hold_in_the_package(
    space: Workspace, tiny_checkpoint: Path, tmp_path: Path
) -> None:
    attributes = {"maxCacheLength": 200, "runtime": {"batchSize": 2}}
    config = CompileConfig.parse({"llm": {"apply": True, "attributes": attributes}})
    for component in ("language", "vision"):
        quantize(space, component, compile_config=config)
    write_package(Checkpoint.open(str(tiny_checkpoint)), space, tmp_path / "package", config)
    session = Session.open(tmp_path / "package")
    assert session.max_length == 200 and session.package.text.meta["batch_size"] == 2
    assert session.package.vision is not None
    assert "batch_size" not in session.package.vision.meta
    with pytest.raises(RunError, match="max_length is 201, the text program's cache holds 200"):
        Session.open(tmp_path / "package", max_length=201)


@pytest.mark.parametrize("output", [CalibrationOutput.CHANNEL, CalibrationOutput.SIGMOID])
def test_programs_hand_back_float32_however_outputs_are_to_be_scaled(
    space: Workspace, output: CalibrationOutput
) -> None:
    plain = read_mxq(space.mxq("vision"))
    config = CompileConfig.parse({"calibration": {"output": int(output)}})
    program = read_mxq(quantize(space, "vision", compile_config=config))
    assert {program.buffers[name].dtype for name in program.outputs} == {"float32"}
    assert program.instructions == plain.instructions
    assert all(np.array_equal(program.tensors[name], plain.tensors[name]) for name in plain.tensors)


def test_a_learned_rotation_reaches_every_file(
    space: Workspace, tiny_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn = space.rotation.read_bytes()
    monkeypatch.setattr(rotations, "STEPS", 3)
    learn = {"SpinR1": {"apply": True, "learn": True}, "SpinR2": {"apply": True, "learn": True}}
    config = CompileConfig.parse({"equivalentTransformation": learn})
    for component in ("language", "vision"):
        quantize(space, component, compile_config=config)
    checkpoint = Checkpoint.open(str(tiny_checkpoint))
    write_package(checkpoint, space, tmp_path / "package", config)
    open_package(tmp_path / "package")
    assert space.rotation.read_bytes() != drawn


def test_learned_scales_change_no_weight_code(space: Workspace) -> None:
    def tensors(learn: bool) -> dict[str, np.ndarray]:
        bits = {"transformer": {"weight": {"ffn": 4, "value": 4, "output": 4}}}
        settings = {"bit": bits, "learnWeightScale": {"apply": learn, "steps": 8}}
        quantize(space, "language", compile_config=CompileConfig.parse(settings))
        program = read_mxq(space.mxq("language"))
        return {name: np.array(tensor) for name, tensor in program.tensors.items()}

    plain, learned = tensors(False), tensors(True)
    same = {name: np.array_equal(plain[name], learned[name]) for name in plain}
    assert all(equal for name, equal in same.items() if name.endswith(".weight"))
    assert not all(equal for name, equal in same.items() if name.endswith(".multiplier"))


def test_learned_codes_change_four_bit_weights_alone(space: Workspace) -> None:
    def tensors(learn: bool) -> dict[str, np.ndarray]:
        bits = {"transformer": {"weight": {"ffn": 4}}}
        nearest = {"hessianQuant": {"apply": False}}
        settings = {"bit": bits, **nearest, "learnRounding": {"apply": learn, "steps": 40}}
        quantize(space, "language", compile_config=CompileConfig.parse(settings))
        program = read_mxq(space.mxq("language"))
        return {name: np.array(tensor) for name, tensor in program.tensors.items()}

    plain, learned = tensors(False), tensors(True)
    changed = {name for name in plain if not np.array_equal(plain[name], learned[name])}
    assert changed
    assert all("_mlp_" in name and name.endswith(".weight") for name in changed)


def test_without_r1_nothing_is_rotated(
    space: Workspace, tiny_checkpoint: Path, tmp_path: Path
) -> None:
    space.rotation.unlink()
    config = CompileConfig.parse({"equivalentTransformation": {"SpinR1": {"apply": False}}})
    for component in ("language", "vision"):
        quantize(space, component, compile_config=config)
    write_package(Checkpoint.open(str(tiny_checkpoint)), space, tmp_path / "package", config)
    assert open_package(tmp_path / "package").text.meta["rotation"] == "none"
    assert not space.rotation.exists()


def test_vision_needs_the_rotation(space: Workspace) -> None:
    space.rotation.unlink()
    with pytest.raises(RotationError, match=r"global_rotation\.pth") as caught:
        quantize(space, "vision")
    assert "vlmforge mxq language" in str(caught.value)


def other_model(tiny_checkpoint: Path, directory: Path) -> Path:
    shutil.copytree(tiny_checkpoint, directory)
    weights = load_file(directory / "model.safetensors")
    weights["model.norm.weight"] = weights["model.norm.weight"] * 2
    save_file(weights, directory / "model.safetensors", {"format": "pt"})
    return directory


def test_rotation_and_samples_of_another_model(
    space: Workspace, tiny_checkpoint: Path, tmp_path: Path
) -> None:
    out = tmp_path / "other" / "package"
    compiled(other_model(tiny_checkpoint, tmp_path / "Other-VL"), out)
    other = Workspace(out.with_name("package.work"), "Other-VL")
    with pytest.raises(RotationError, match="another model"):
        quantize(space, "vision", rotation_path=other.rotation)
    with pytest.raises(CalibrationError, match="another model"):
        quantize(space, "language", calib_data_path=other.calibration)
    shutil.copyfile(other.mxq("vision"), space.mxq("vision"))
    with pytest.raises(PackageError):
        write_package(Checkpoint.open(str(tiny_checkpoint)), space, tmp_path / "mixed")
    assert not (tmp_path / "mixed").exists()


def test_missing_calibration_data(space: Workspace, tmp_path: Path) -> None:
    with pytest.raises(CalibrationError, match="vlmforge calibrate"):
        quantize(space, "language", calib_data_path=tmp_path / "nowhere")


def test_an_altered_graph_is_refused(space: Workspace) -> None:
    path = space.mblt("language")
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    with pytest.raises(FormatError):
        quantize(space, "language")


def test_bits_and_overrides_reach_the_programs(space: Workspace) -> None:
    kept = "model_layers_1_mlp_up_proj"
    config = CompileConfig.parse(
        {
            "bit": {
                "layerOverrides": {"weight8Bits": [kept]},
                "transformer": {"weight": {"ffn": 4, "head": 4}, "weightGroup": 32},
            }
        }
    )
    program = read_mxq(quantize(space, "language", compile_config=config))
    kinds = {
        step.name: program.tensors[step.tensors["weight"]].dtype.name
        for step in program.instructions
        if step.op == "linear"
    }
    assert kinds[kept] == kinds["model_layers_0_self_attn_q_proj"] == "int8"
    assert kinds["model_layers_0_mlp_up_proj"] == kinds["lm_head"] == "uint8"


@pytest.mark.parametrize("key", ["activation16Bits", "weight8Bits"])
def test_overrides_belong_to_either_component(key: str, package: Path) -> None:
    space = Workspace(package.with_name("package.work"), "Tiny-VL")
    graphs = [read_mblt(space.mblt(component)) for component in ("language", "vision")]
    for name, near, part in (
        ("lm_haed", "lm_head", "language"),
        ("model_blocks_9_mlp_fc1", "model_blocks_1_mlp_fc1", "vision"),
    ):
        config = CompileConfig.parse({"bit": {"layerOverrides": {key: [name]}}})
        with pytest.raises(ConfigError, match=rf"{name}(.|\n)*{near}.*{part}"):
            split_overrides(config, graphs)
    names = ["model_blocks_0_mlp_fc1", "lm_head"]
    config = CompileConfig.parse({"bit": {"layerOverrides": {key: names}}})
    parts = split_overrides(config, graphs)
    listed = {c: part.model_dump(by_alias=True)[key] for c, part in parts.items()}
    assert listed == {"language": ("lm_head",), "vision": ("model_blocks_0_mlp_fc1",)}


def test_unknown_overrides_are_found_before_anything_is_written(space: Workspace) -> None:
    config = CompileConfig.parse({"bit": {"layerOverrides": {"activation16Bits": ["lm_haed"]}}})
    before = space.mxq("language").read_bytes()
    with pytest.raises(ConfigError, match="lm_head"):
        quantize(space, "language", compile_config=config)
    assert space.mxq("language").read_bytes() == before


def appeared(folder: Path, pattern: str) -> bool:
    """Whether files of the pattern are there; they may be renamed while one looks."""
    try:
        return bool(list(folder.rglob(pattern)))
    except FileNotFoundError:
        return False


@pytest.mark.parametrize("reached", ["calibration_data/*", "mblt/*", "mxq/*", "package*partial*"])
def test_a_killed_compile_starts_clean(
    package: Path, tiny_checkpoint: Path, tmp_path: Path, reached: str
) -> None:
    out = tmp_path / "package"
    command = [
        *(sys.executable, "-m", "vlmforge", "compile", str(tiny_checkpoint), "--out", str(out)),
        *("--num-samples", "3", "--max-new-tokens", "6", "--images", "synthetic"),
    ]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while process.poll() is None and not appeared(tmp_path, reached):
        time.sleep(0.001)
    process.kill()
    assert process.wait() == -signal.SIGKILL and not out.exists()
    compiled(tiny_checkpoint, out)
    assert not list(tmp_path.rglob("*.partial-*"))
    for file in package.glob("*.mxq"):
        assert file.read_bytes() == (out / file.name).read_bytes()


def test_what_proves_a_package_is_written_last(
    package: Path, tiny_checkpoint: Path, tmp_path: Path
) -> None:
    space = Workspace(package.with_name("package.work"), "Tiny-VL")
    rotation = read_r1(Checkpoint.open(str(tiny_checkpoint)), space.rotation)
    written: list[float] = []

    def look(made: Path) -> None:
        times = {file.name: file.stat().st_mtime_ns for file in made.iterdir()}
        assert times.pop("config.json") >= max(times.values())
        written.extend(times.values())

    parts = (space.mxq("language"), space.mxq("vision"), rotation)
    build_package(Checkpoint.open(str(tiny_checkpoint)), *parts, tmp_path / "new", look)
    assert len(written) >= 6


def test_a_package_with_a_missing_file(package: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    shutil.copytree(package, broken)
    (broken / "model.safetensors").unlink()
    with pytest.raises(PackageError, match=r"model\.safetensors"):
        open_package(broken)


def test_other_files_are_never_replaced(
    package: Path, tiny_checkpoint: Path, tmp_path: Path
) -> None:
    space = Workspace(package.with_name("package.work"), "Tiny-VL")
    (tmp_path / "thesis.txt").write_text("mine", encoding="utf-8")
    with pytest.raises(PackageError, match="other files"):
        write_package(Checkpoint.open(str(tiny_checkpoint)), space, tmp_path)
    assert (tmp_path / "thesis.txt").exists()


def test_outputs_are_checked_before_the_model_is_looked_for(tmp_path: Path) -> None:
    (tmp_path / "notes").write_text("mine", encoding="utf-8")
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "a.mxq").touch()
    new = tmp_path / "new"
    for out, work, match in (
        (tmp_path / "notes", None, "a file stands"),
        (tmp_path / "thesis", None, r"other files: a\.mxq"),
        (new, tmp_path / "notes", "a file stands"),
        (new, new / "work", "replaced as a whole"),
    ):
        with pytest.raises((OutputError, PackageError), match=match):
            compile_model("/nowhere", out, work_dir=work)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["notes", "thesis"]


def test_an_unsupported_architecture_names_the_supported(tmp_path: Path) -> None:
    config = {"architectures": ["GemmaForCausalLM"], "model_type": "gemma"}
    (tmp_path / "config.json").write_text(json.dumps(config), encoding="utf-8")
    save_file({"x": torch.zeros(1)}, tmp_path / "model.safetensors")
    with pytest.raises(SourceError, match="Qwen2VLForConditionalGeneration"):
        compile_model(str(tmp_path), tmp_path / "out")
