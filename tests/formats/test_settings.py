"""Settings files are checked when they are read; what they say nothing of has a default."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from vlmforge.errors import FormatError
from vlmforge.formats.settings import (
    LARGEST,
    GenerationSettings,
    PackageSettings,
    ProcessorSettings,
    Settings,
    TokenizerSettings,
    VisualSettings,
    read_settings,
)


def stored(path: Path, value: object) -> Path:
    """A settings file."""
    file = path / "settings.json"
    file.write_text(json.dumps(value), encoding="utf-8")
    return file


def test_null_stands_for_the_default(tmp_path: Path) -> None:
    file = stored(tmp_path, {"image_mean": None, "do_rescale": None, "crop_size": None})
    assert read_settings(ProcessorSettings, file) == ProcessorSettings()


def test_videos_are_treated_as_images_unless_said_otherwise(tmp_path: Path) -> None:
    said = {"max_pixels": 9000, "image_mean": [0.5, 0.5, 0.5], "size": {"height": None}}
    own = {"video_processor": {"size": {"longest_edge": 7000}, "fps": None}}

    alike = read_settings(VisualSettings, stored(tmp_path, said)).videos
    other = read_settings(VisualSettings, stored(tmp_path, {**said, **own})).videos

    assert (alike.most_pixels, alike.image_mean, alike.min_frames) == (9000, (0.5, 0.5, 0.5), 4)
    assert (other.most_pixels, other.fps) == (7000, None)
    assert other.image_mean == ProcessorSettings().image_mean


def test_a_missing_file_may_be_fine(tmp_path: Path) -> None:
    file = tmp_path / "none.json"
    assert read_settings(GenerationSettings, file, required=False).stop_tokens() is None
    with pytest.raises(FormatError, match="cannot be read"):
        read_settings(GenerationSettings, file)


@pytest.mark.parametrize(("stop", "tokens"), [(3, {3}), ([3, 5], {3, 5}), ([], set())])
def test_stop_tokens_are_one_or_several(tmp_path: Path, stop: object, tokens: set[int]) -> None:
    file = stored(tmp_path, {"eos_token_id": stop, "temperature": 0.1})
    assert read_settings(GenerationSettings, file).stop_tokens() == tokens


def test_special_tokens_are_texts_or_objects(tmp_path: Path) -> None:
    file = stored(tmp_path, {"eos_token": {"content": "<e>", "lstrip": False}, "pad_token": "<p>"})
    found = read_settings(TokenizerSettings, file).special_tokens()
    assert found == {"eos_token": "<e>", "pad_token": "<p>"}


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (ProcessorSettings, {"image_mean": [0.5, 0.5]}),
        (ProcessorSettings, {"image_std": [0.5, 0.5, 0.0]}),
        (ProcessorSettings, {"rescale_factor": "1/255"}),
        (ProcessorSettings, {"do_rescale": "yes"}),
        (ProcessorSettings, {"resample": 9}),
        (ProcessorSettings, {"max_pixels": 0}),
        (ProcessorSettings, {"size": {"longest_edge": -1}}),
        (VisualSettings, {"video_processor": {"max_frames": 0}}),
        (GenerationSettings, {"eos_token_id": -1}),
        (GenerationSettings, {"eos_token_id": [True]}),
        (TokenizerSettings, {"eos_token": 3}),
        (TokenizerSettings, {"chat_template": [{"name": "default"}]}),
        (PackageSettings, {}),
        (PackageSettings, {"mxq_path": ["a.mxq"]}),
        (PackageSettings, {"mxq_path": "a.mxq", "vision_config": []}),
        (PackageSettings, {"mxq_path": "a.mxq", "image_token_id": 1 << 40}),
        (PackageSettings, {"mxq_path": "a.mxq", "text_config": {"eos_token_id": {}}}),
    ],
)
def test_a_malformed_setting_is_named(
    tmp_path: Path, kind: type[Settings], value: dict[str, Any]
) -> None:
    with pytest.raises(FormatError, match="field"):
        read_settings(kind, stored(tmp_path, value))


@pytest.mark.parametrize(
    "content",
    [b"", b"[1]", b"\xff\xfe{\x00}\x00", b"{" * 100_000, b'{"a": NaN}', b" " * (LARGEST + 1)],
)
def test_what_is_no_object_is_refused(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "settings.json"
    file.write_bytes(content)
    with pytest.raises(FormatError):
        read_settings(GenerationSettings, file)


def test_deep_values_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "settings.json"
    file.write_text('{"a": ' + '{"b": ' * 900 + "1" + "}" * 901)
    with pytest.raises(FormatError):
        read_settings(GenerationSettings, file)
