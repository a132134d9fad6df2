"""The tutorial's nine scripts, run in its order on a tiny model."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from safetensors import safe_open

TUTORIAL = Path(__file__).parents[2] / "tutorial"


def run(directory: Path, script: str, *arguments: object) -> None:
    command = [sys.executable, script, *map(str, arguments)]
    done = subprocess.run(
        command, cwd=directory, env=os.environ, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_the_scripts_make_every_file(tiny_checkpoint: Path, tmp_path: Path) -> None:
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
    made = {file.name for file in (compiling / "mxq").iterdir()}
    names = {"Tiny-VL_text_model.mxq", "Tiny-VL_vision_transformer.mxq"}
    assert made == names | {"config.json", "model.safetensors"}
    rotation = tmp_path / "private/spinWeight/Tiny-VL_text_model/R1/global_rotation.pth"
    assert rotation.is_file()
    with safe_open(compiling / "mxq/model.safetensors", "pt") as file:
        assert list(file.keys()) == ["model.embed_tokens.weight"]
