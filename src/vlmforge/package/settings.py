"""Tokenizer, chat template and processor settings of a package, in one spelling."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vlmforge.errors import SourceError
from vlmforge.formats.atomic import writing
from vlmforge.formats.package import PROCESSOR_FILE
from vlmforge.formats.settings import (
    GenerationSettings,
    ProcessorSettings,
    SizeSettings,
    read_settings,
)
from vlmforge.images.pictures import NativeResolution
from vlmforge.images.tiles import TILES, Tiles
from vlmforge.source.checkpoint import Checkpoint
from vlmforge.source.processor import (
    image_settings,
    load_template,
    load_tokenizer,
    load_video_settings,
    whole_settings,
)

GENERATION_FILE = "generation_config.json"
TOKENIZER_FILE = "tokenizer_config.json"

_LOADING = ("is_local", "local_files_only")
"""How a tokenizer was loaded, which transformers writes down among its settings."""


def write_settings(
    checkpoint: Checkpoint, directory: Path, vision: Mapping[str, Any] | None = None
) -> None:
    """Write what transformers makes of a checkpoint's settings, whatever files they are kept in.

    Args:
        checkpoint: of the original model.
        vision: ``Program.meta`` of the vision program, whose images may have bounds.
        directory: takes ``tokenizer.json`` and ``tokenizer_config.json``; where the checkpoint
            has them, ``chat_template.jinja`` and ``generation_config.json``; and, of a model that
            sees, ``preprocessor_config.json``.

    Raises:
        SourceError, FormatError: a file of the checkpoint is missing or malformed.
        SystemFailure: the disk is full.
    """
    with writing(directory):
        _write_settings(checkpoint, directory, vision or {})


def _write_settings(checkpoint: Checkpoint, directory: Path, vision: Mapping[str, Any]) -> None:
    sees = "vision" in checkpoint.components
    template = load_template(checkpoint.path, processor=sees)
    tokenizer = load_tokenizer(checkpoint.path)
    tokenizer.chat_template = template
    for option in _LOADING:
        tokenizer.init_kwargs.pop(option, None)
    tokenizer.save_pretrained(directory)
    if not (directory / "tokenizer.json").is_file():
        raise SourceError(
            "transformers does not save the tokenizer as a tokenizer.json",
            where=checkpoint.path,
            mend="choose a model with a fast tokenizer",
        )
    _spell_as_releases_do(directory / TOKENIZER_FILE)
    if sees:
        write_processor_config(checkpoint, directory / PROCESSOR_FILE, vision)
    generation = checkpoint.path / GENERATION_FILE
    if generation.is_file():
        read_settings(GenerationSettings, generation)
        shutil.copyfile(generation, directory / GENERATION_FILE)


def _spell_as_releases_do(path: Path) -> None:
    """Let ``tokenizer_config.json`` say the same in words that transformers 4 knows, too."""
    settings = json.loads(path.read_text("utf-8"))
    if settings.get("tokenizer_class") == "TokenizersBackend":
        settings["tokenizer_class"] = "PreTrainedTokenizerFast"  # the same class
    if isinstance(settings.get("extra_special_tokens"), list):
        settings["additional_special_tokens"] = settings.pop("extra_special_tokens")
    settings.setdefault("model_input_names", ["input_ids", "attention_mask"])
    text = json.dumps(settings, indent=2, sort_keys=True, ensure_ascii=False)
    path.write_text(text + "\n", encoding="utf-8")


def write_processor_config(checkpoint: Checkpoint, path: Path, vision: Mapping[str, Any]) -> None:
    """Write ``preprocessor_config.json``, which names the processors of transformers.

    That of text and images is not named where images get one size, which it would not give them:
    clients then take the processor that is theirs for packages.
    """
    processor = checkpoint.family.processor
    settings = image_settings(checkpoint.path, processor)
    own = whole_settings(checkpoint.path, processor)
    layout = _layout(settings, vision)
    document = {**settings, **own, **processor.classes, **layout}
    if not layout:
        del document["processor_class"]
    if (videos := load_video_settings(checkpoint.path, processor)) is not None:
        document["video_processor"] = videos
    path.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8", newline="\n")


def _layout(settings: Mapping[str, Any], vision: Mapping[str, Any]) -> dict[str, Any]:
    """Which sizes images get, within the bounds of the vision program."""
    if vision.get("layout") == TILES:
        known = ProcessorSettings.model_validate(settings)
        return {"layout": TILES, **Tiles.of(vision, known).asked}
    if vision.get("layout") != "dynamic":
        return {}
    known = ProcessorSettings(size=SizeSettings.model_validate(settings["size"]))
    bounds = NativeResolution.of(vision, known)
    size = {"shortest_edge": bounds.min_pixels, "longest_edge": bounds.max_pixels}
    return {"layout": "dynamic", "size": size}
