"""PromptEncoder: messages become token ids and the images that go with them."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from tokenizers import Tokenizer

from vlmforge.errors import PackageError, RunError
from vlmforge.formats.image import ImageSource
from vlmforge.run.template import ChatTemplate, Message
from vlmforge.text import well_formed


@dataclass(frozen=True)
class Prompt:
    """A conversation as a model reads it.

    Attributes:
        token_ids: int64 ``[seq]``; each image is a run of image tokens.
        images: one a run, in order.
    """

    token_ids: np.ndarray
    images: tuple[ImageSource, ...]


class PromptEncoder:
    """The tokenizer and chat template of a package.

    Args:
        tokenizer: of the package's ``tokenizer.json``.
        template: of the package.
        image_token_id: the token that stands for one row of image features.
        image_tokens: rows of image features an image has.
    """

    def __init__(
        self, tokenizer: Tokenizer, template: ChatTemplate, image_token_id: int, image_tokens: int
    ) -> None:
        self.tokenizer, self.template = tokenizer, template
        self.image_token_id, self.image_tokens = image_token_id, image_tokens
        self.image_token: str | None = tokenizer.id_to_token(image_token_id)

    def encode(self, messages: Sequence[Message], *, generation_prompt: bool = True) -> Prompt:
        """The ids Hugging Face's ``processor.apply_chat_template(..., tokenize=True)`` gives.

        Half a character (a lone surrogate), which no tokenizer reads, becomes U+FFFD.

        Raises:
            RunError: the messages are malformed, or image placeholders were written as text.
        """
        images = tuple(images_of(messages))
        text = well_formed(self.template.render(messages, generation_prompt=generation_prompt))
        if self.image_token is not None:
            text = _expand(text, self.image_token, self.image_tokens, len(images))
        bos = self.template.special_tokens.get("bos_token")
        encoded = self.tokenizer.encode(
            text, add_special_tokens=bos is None or not text.startswith(bos)
        )
        return Prompt(np.array(encoded.ids, np.int64), images)


def _expand(text: str, placeholder: str, repeats: int, images: int) -> str:
    """The text with every placeholder repeated; RunError unless there is one an image."""
    found = text.count(placeholder)
    if found != images:
        raise RunError(
            f"the prompt has {found} image placeholders and {images} images",
            mend=f"attach images as content parts; do not write {placeholder} as text",
        )
    return text.replace(placeholder, placeholder * repeats)


def load_tokenizer(package_dir: Path) -> Tokenizer:
    """The package's tokenizer, without truncation or padding.

    Raises:
        PackageError: ``tokenizer.json`` is missing or malformed.
    """
    path = package_dir / "tokenizer.json"
    try:
        tokenizer = Tokenizer.from_file(str(path))
    except Exception as error:  # the tokenizers library raises bare Exception
        raise PackageError(
            f"the tokenizer cannot be read: {error}", where=path, mend="build the package again"
        ) from error
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


def images_of(messages: Sequence[Message]) -> Iterator[ImageSource]:
    """The images of the messages in order: values of ``image``, ``path`` or ``url`` of a part.

    Raises:
        RunError: a message or part is not of the documented form, or names a remote image.
    """
    for message in messages:
        content = message.get("content") if isinstance(message, dict) else None
        if isinstance(content, str):
            continue
        if not isinstance(content, (list, tuple)):
            raise _malformed(message)
        for part in content:
            if not isinstance(part, dict) or part.get("type") not in ("text", "image"):
                raise _malformed(part)
            if part["type"] == "image":
                yield _image(part)


def _image(part: dict[str, Any]) -> ImageSource:
    source = next((part[key] for key in ("image", "path", "url") if key in part), None)
    if isinstance(source, str) and source.startswith(("http://", "https://")):
        raise RunError("remote images are not fetched", where=source, mend="download it first")
    if not isinstance(source, (Image.Image, str, os.PathLike)):
        raise _malformed(part)
    return source


def _malformed(part: object) -> RunError:
    return RunError(
        "a message is not of a known form",
        where=repr(part)[:200],
        mend='content is a text or a list of {"type": "text", "text": TEXT} and '
        '{"type": "image", "image": FILE}',
    )
