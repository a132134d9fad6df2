"""The tutorial's nine scripts, run in its order on a tiny model."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from safetensors import safe_open
from transformers import AutoModelForImageTextToText, AutoProcessor

import vlmforge.integrations.transformers  # noqa: F401 - registers packages
from tests.config.test_compile import TUTORIAL as CONFIGURATION
from vlmforge.config import CompileConfig
from vlmforge.formats.mxq import read_mxq

TUTORIAL = Path(__file__).parents[2] / "tutorial"


def start(directory: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, *map(str, arguments)]
    return subprocess.run(
        command, cwd=directory, env=os.environ, capture_output=True, text=True, check=False
    )


def run(directory: Path, *arguments: object) -> str:
    done = start(directory, *arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def compiling(tiny_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the compile scripts, after all nine have run."""
    tmp_path = tmp_path_factory.mktemp("tutorial")
    shutil.copytree(TUTORIAL, tmp_path / "tutorial")
    calibration, compiling = (tmp_path / "tutorial/vlm" / d for d in ("calibration", "compile"))
    model = ("--model-name", tiny_checkpoint)
    spin = ("--spin-weight-dir", tmp_path / "private" / "spinWeight")
    run(calibration, "download_images.py", "--num-images", 2)
    run(calibration, "generate_language_calibration_data.py", *model, "--max-new-tokens", 4)
    run(calibration, "generate_vision_calibration_data.py", *model)
    run(compiling, "mblt_compile_language.py", *model)
    run(compiling, "mblt_compile_vision.py", *model)
    run(compiling, "mxq_compile_language.py", *model, *spin)
    run(compiling, "mxq_compile_vision.py", *model, *spin)
    run(compiling, "get_config.py", *model)
    run(compiling, "get_safetensors.py", *model, *spin)
    assert (tmp_path / "private/spinWeight/Tiny-VL_text_model/R1/global_rotation.pth").is_file()
    return compiling


def test_the_scripts_make_every_file(compiling: Path) -> None:
    assert {file.name for file in (compiling / "mxq").iterdir()} == {
        "Tiny-VL_text_model.mxq",
        "Tiny-VL_vision_transformer.mxq",
        "config.json",
        "model.safetensors",
        "tokenizer.json",
        "tokenizer_config.json",
        "chat_template.jinja",
        "preprocessor_config.json",
        "generation_config.json",
    }
    with safe_open(compiling / "mxq/model.safetensors", "pt") as file:
        assert list(file.keys()) == ["model.language_model.embed_tokens.weight"]


def test_what_they_make_answers(compiling: Path) -> None:
    image = next((compiling.parent / "calibration/images").glob("*.jpg"))
    asked = ("--image", image, "--prompt", "Describe the image.", "--max-new-tokens", 4)
    text = run(compiling, "-m", "vlmforge", "chat", "mxq", *asked)
    model = AutoModelForImageTextToText.from_pretrained(compiling / "mxq")
    processor = AutoProcessor.from_pretrained(compiling / "mxq")
    parts = [{"type": "image", "path": str(image)}, {"type": "text", "text": "Describe the image."}]
    inputs = processor.apply_chat_template(
        [{"role": "user", "content": parts}],
        add_generation_prompt=True,
        tokenize=True,
        return_dict=True,
        return_tensors="pt",
    )
    output = model.generate(**inputs, max_new_tokens=4, do_sample=False, repetition_penalty=1.0)
    answer = output[0, inputs["input_ids"].shape[1] :]
    assert processor.decode(answer, skip_special_tokens=True).strip() == text.strip()


def test_the_text_model_has_the_tutorials_configuration(compiling: Path) -> None:
    asked = CompileConfig.parse(json.loads(CONFIGURATION)).equivalent_transformation
    meta = read_mxq(compiling / "mxq/Tiny-VL_text_model.mxq").meta
    made = CompileConfig.parse(meta["compile_config"]).equivalent_transformation
    for name in ("qk", "ud", "spin_r1", "spin_r2"):
        assert getattr(made, name) == getattr(asked, name)
    assert made.ud.apply and made.ud.learn


def test_hints_name_the_scripts(tmp_path: Path, tiny_checkpoint: Path) -> None:
    shutil.copytree(TUTORIAL, tmp_path / "tutorial")
    calibration, compiling = (tmp_path / "tutorial/vlm" / d for d in ("calibration", "compile"))
    model = ("--model-name", tiny_checkpoint)
    for directory, script, hint in (
        (calibration, "generate_vision_calibration_data.py", "python download_images.py"),
        (compiling, "mblt_compile_language.py", "generate_language_calibration_data.py"),
        (compiling, "get_safetensors.py", "python mxq_compile_language.py"),
    ):
        done = start(directory, script, *model)
        assert done.returncode == 2
        assert hint in done.stderr, done.stderr
