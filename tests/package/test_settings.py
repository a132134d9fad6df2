"""Processor settings of packages: what the vision program and the checkpoint say together."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from tests.conftest import PREPROCESSOR
from tests.packages import BOUNDS, SIZES
from vlmforge.errors import SourceError, SystemFailure
from vlmforge.formats.settings import VisualSettings, read_settings
from vlmforge.package.settings import write_processor_config, write_settings
from vlmforge.source.checkpoint import Checkpoint

DYNAMIC = {**SIZES, **BOUNDS, "layout": "dynamic", "max_patches": 50}


def written(checkpoint: Path, directory: Path, meta: dict[str, Any]) -> VisualSettings:
    path = directory / "preprocessor_config.json"
    write_processor_config(Checkpoint.open(str(checkpoint)), path, meta)
    return read_settings(VisualSettings, path)


@pytest.fixture
def copied(tiny_checkpoint: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_checkpoint, tmp_path / "copy"))


def test_a_fixed_layout_keeps_the_bounds_of_the_model(copied: Path, tmp_path: Path) -> None:
    settings = written(copied, tmp_path, {**SIZES, "image_size": [224, 224]})

    assert (settings.least_pixels, settings.most_pixels) == (
        PREPROCESSOR["min_pixels"],
        PREPROCESSOR["max_pixels"],
    )
    document = json.loads((tmp_path / "preprocessor_config.json").read_text())
    assert not {"layout", "processor_class"} & {*document}
    assert document["image_processor_type"] == "Qwen2VLImageProcessor"


def test_a_dynamic_layout_has_the_narrower_bounds(copied: Path, tmp_path: Path) -> None:
    settings = written(copied, tmp_path, {**DYNAMIC, "min_pixels": 1000})

    assert (settings.least_pixels, settings.most_pixels) == (3136, BOUNDS["max_pixels"])
    written_settings = json.loads((tmp_path / "preprocessor_config.json").read_text())
    assert written_settings["layout"] == "dynamic"
    assert written_settings["processor_class"] == "Qwen2VLProcessor"


def test_tokenizers_are_spelled_for_every_release(copied: Path, tmp_path: Path) -> None:
    (tmp_path / "package").mkdir()
    write_settings(Checkpoint.open(str(copied)), tmp_path / "package")

    settings = json.loads((tmp_path / "package" / "tokenizer_config.json").read_text("utf-8"))
    assert settings["tokenizer_class"] in ("PreTrainedTokenizerFast", "Qwen2Tokenizer")
    assert "extra_special_tokens" not in settings
    assert settings["model_input_names"] == ["input_ids", "attention_mask"]
    original, packaged = map(AutoTokenizer.from_pretrained, (copied, tmp_path / "package"))
    assert packaged.all_special_tokens == original.all_special_tokens
    text = "<|im_start|>A star, ünïcödé <|image_pad|>"
    assert packaged(text) == original(text) and "token_type_ids" not in packaged(text)


@pytest.mark.parametrize("nested", [True, False])
def test_settings_for_videos_are_taken_over(copied: Path, tmp_path: Path, nested: bool) -> None:
    videos = {"size": {"shortest_edge": 4000, "longest_edge": 9000}, "fps": 1, "min_frames": 2}
    assert written(copied, tmp_path, DYNAMIC).videos.most_pixels == BOUNDS["max_pixels"]
    if nested:
        file, document = "processor_config.json", {"video_processor": videos}
    else:
        file, document = "video_preprocessor_config.json", videos
    (copied / file).write_text(json.dumps(document))

    found = written(copied, tmp_path, DYNAMIC).videos

    assert (found.least_pixels, found.most_pixels) == (4000, 9000)
    assert (found.fps, found.min_frames, found.max_frames) == (1, 2, 768)


@pytest.mark.parametrize("text", ["{", '{"fps": -1}', '{"min_frames": "many"}'])
def test_malformed_settings_for_videos_are_named(copied: Path, tmp_path: Path, text: str) -> None:
    (copied / "video_preprocessor_config.json").write_text(text)

    with pytest.raises(SourceError, match=r"settings for videos[^$]*video_preprocessor_config"):
        written(copied, tmp_path, DYNAMIC)


def test_a_full_disk_is_told_though_the_tokenizers_library_does_not(
    tiny_decoder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise Exception("No space left on device (os error 28)")

    checkpoint = Checkpoint.open(str(tiny_decoder))
    monkeypatch.setattr(PreTrainedTokenizerFast, "save_pretrained", full)
    with pytest.raises(SystemFailure, match="the disk is full"):
        write_settings(checkpoint, tmp_path)
