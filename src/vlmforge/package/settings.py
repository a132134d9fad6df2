"""Tokenizer, chat template and processor settings of a package, in one spelling."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from vlmforge.errors import SourceError
from vlmforge.formats.package import PROCESSOR_FILE
from vlmforge.formats.settings import GenerationSettings, read_settings
from vlmforge.source.checkpoint import Checkpoint
from vlmforge.source.processor import image_settings, load_template, load_tokenizer

GENERATION_FILE = "generation_config.json"

PROCESSOR_CLASSES = {
    "processor_class": "MobilintQwen2VLProcessor",
    "image_processor_type": "MobilintQwen2VLImageProcessor",
}

_LOADING = ("is_local", "local_files_only")
"""How a tokenizer was loaded, which transformers writes down among its settings."""


def write_settings(checkpoint: Checkpoint, directory: Path) -> None:
    """Write what transformers makes of a checkpoint's settings, whatever files they are kept in.

    Args:
        checkpoint: of the original model.
        directory: takes ``tokenizer.json`` and ``tokenizer_config.json``; where the checkpoint
            has them, ``chat_template.jinja`` and ``generation_config.json``; and, of a model that
            sees, ``preprocessor_config.json``.

    Raises:
        SourceError, FormatError: a file of the checkpoint is missing or malformed.
    """
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
    if sees:
        write_processor_config(checkpoint, directory / PROCESSOR_FILE)
    generation = checkpoint.path / GENERATION_FILE
    if generation.is_file():
        read_settings(GenerationSettings, generation)
        shutil.copyfile(generation, directory / GENERATION_FILE)


def write_processor_config(checkpoint: Checkpoint, path: Path) -> None:
    """Write ``preprocessor_config.json``, which names the processor of compiled packages."""
    document = {**image_settings(checkpoint.path), **PROCESSOR_CLASSES}
    path.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
