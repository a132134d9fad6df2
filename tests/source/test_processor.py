"""The processor works without torchvision."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tokenizers import Tokenizer

from vlmforge.errors import SourceError
from vlmforge.families.processor import Processor
from vlmforge.source.processor import load_processor, load_video_settings

QWEN2_VL = Processor()


def noise(height: int, width: int, seed: int = 0) -> Image.Image:
    """An RGB image of random pixels."""
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)
    return Image.fromarray(pixels)


def test_placeholders_match_the_image(tiny_checkpoint: Path) -> None:
    processor = load_processor(tiny_checkpoint, QWEN2_VL)
    message = {"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "What?"}]}
    text = processor.apply_chat_template([message], add_generation_prompt=True)
    batch = processor(text=[text], images=[noise(224, 224)], return_tensors="np")
    assert batch["pixel_values"].shape == (256, 1176)
    assert (batch["input_ids"] == processor.image_token_id).sum() == 64
    assert batch["mm_token_type_ids"].sum() == 64


def test_tokens_are_those_of_the_tokenizer_file(tiny_checkpoint: Path) -> None:
    text = "<|im_start|>user\n  Two  crosses,\té 42!\n\n<|im_end|>"
    ids = load_processor(tiny_checkpoint, QWEN2_VL).tokenizer(text).input_ids
    assert ids == Tokenizer.from_file(str(tiny_checkpoint / "tokenizer.json")).encode(text).ids


def test_template_of_its_own_file(tiny_checkpoint: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(tiny_checkpoint, tmp_path / "copy")
    settings = json.loads((copy / "tokenizer_config.json").read_text())
    template = settings.pop("chat_template")
    (copy / "tokenizer_config.json").write_text(json.dumps(settings))
    with pytest.raises(SourceError, match="no chat template"):
        load_processor(copy, QWEN2_VL)
    (copy / "chat_template.json").write_text(json.dumps({"chat_template": template}))
    assert load_processor(copy, QWEN2_VL).chat_template == template
    (copy / "chat_template.json").write_text("[]")
    with pytest.raises(SourceError, match="chat template cannot be read"):
        load_processor(copy, QWEN2_VL)


@pytest.mark.parametrize("file", ["tokenizer.json", "preprocessor_config.json"])
def test_malformed_files_are_refused(tiny_checkpoint: Path, tmp_path: Path, file: str) -> None:
    copy = shutil.copytree(tiny_checkpoint, tmp_path / "copy")
    (copy / file).write_text("{")
    with pytest.raises(SourceError, match="cannot be read"):
        load_processor(copy, QWEN2_VL)


def test_settings_for_videos_have_the_defaults_of_the_family(tmp_path: Path) -> None:
    kind = Processor(videos={"fps": 3.0, "image_mean": [0.5, 0.5, 0.5]})
    assert load_video_settings(tmp_path, kind) is None
    said = {"fps": 1.0, "image_mean": None, "max_frames": 8}
    (tmp_path / "video_preprocessor_config.json").write_text(json.dumps(said), "utf-8")
    assert load_video_settings(tmp_path, kind) == {**said, "image_mean": [0.5, 0.5, 0.5]}
    assert load_video_settings(tmp_path, QWEN2_VL) == said
