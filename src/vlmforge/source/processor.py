"""The model's tokenizer and image processor, and the vision encoder's input layout."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from tokenizers import Tokenizer
from transformers import AutoTokenizer, Qwen2VLProcessor
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

from vlmforge.errors import SourceError


class ImageTextProcessor(Qwen2VLProcessor):
    """Hugging Face's Qwen2-VL processor for images and text.

    Without a video processor, and with the Pillow image processor, it needs no torchvision.
    """

    def __init__(
        self, image_processor: Any = None, tokenizer: Any = None, chat_template: str | None = None
    ) -> None:
        super().__init__(image_processor, tokenizer, chat_template=chat_template)


def load_processor(path: Path) -> ImageTextProcessor:
    """The processor of the checkpoint in directory ``path``.

    Raises:
        SourceError: the tokenizer, image processor or chat template is missing or unreadable.
    """
    try:
        tokenizer = AutoTokenizer.from_pretrained(
            path, local_files_only=True, trust_remote_code=False
        )
        images = Qwen2VLImageProcessorPil.from_pretrained(path, local_files_only=True)
    except Exception as error:  # transformers and tokenizers raise what they like
        raise SourceError(
            f"the tokenizer or image processor cannot be read: {error}",
            where=path,
            mend="download the model again, with its tokenizer and preprocessor_config.json",
        ) from error
    template = tokenizer.chat_template or _older_template(path)
    if template is None:
        raise SourceError(
            "the model has no chat template", where=path, mend="choose an instruction-tuned model"
        )
    return ImageTextProcessor(images, tokenizer, chat_template=template)


def load_tokenizer(path: Path) -> Tokenizer:
    """The tokenizer of the checkpoint in directory ``path``, without truncation or padding.

    Raises:
        SourceError: ``tokenizer.json`` is missing or unreadable.
    """
    file = path / "tokenizer.json"
    try:
        tokenizer = Tokenizer.from_file(str(file))
    except Exception as error:  # the tokenizers library raises bare Exception
        raise SourceError(
            f"the tokenizer cannot be read: {error}",
            where=file,
            mend="download the model again, with its tokenizer.json",
        ) from error
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


def _older_template(path: Path) -> str | None:
    """The chat template of ``chat_template.json``, where some checkpoints keep it."""
    file = path / "chat_template.json"
    try:
        template = json.loads(file.read_text("utf-8"))["chat_template"]
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise SourceError(
            "the chat template cannot be read", where=file, mend="download the model again"
        ) from error
    return str(template)


def pixel_values_to_images(
    pixel_values: np.ndarray,
    patch_size: int = 14,
    merge_size: int = 2,
    temporal_patch_size: int = 2,
) -> np.ndarray:
    """Patches of the Hugging Face processor, as the compiled vision encoder reads them.

    Args:
        pixel_values: ``[patches, channels * temporal * patch * patch]``; consecutive patches
            form groups of ``merge * merge``.

    Returns:
        ``[groups * patch, merge * merge * patch, channels * temporal]`` (``[896, 56, 6]`` for one
        image of 224 × 224): a row block a group, the group's patches side by side.
    """
    group, area = merge_size * merge_size, patch_size * patch_size
    channels = pixel_values.shape[1] // (temporal_patch_size * area)
    planes = channels * temporal_patch_size
    patches = pixel_values.reshape(-1, group, planes, patch_size, patch_size)
    images = patches.transpose(0, 3, 1, 4, 2)
    return np.ascontiguousarray(images.reshape(-1, group * patch_size, planes))


def images_to_pixel_values(
    images: np.ndarray, patch_size: int = 14, merge_size: int = 2
) -> np.ndarray:
    """The inverse of :func:`pixel_values_to_images`."""
    group, planes = merge_size * merge_size, images.shape[2]
    patches = images.reshape(-1, patch_size, group, patch_size, planes).transpose(0, 2, 4, 1, 3)
    return np.ascontiguousarray(patches.reshape(-1, planes * patch_size * patch_size))
