"""Where a model keeps its chat template, in the order in which transformers looks."""

from __future__ import annotations

from pathlib import Path

from vlmforge.errors import FormatError
from vlmforge.formats.settings import (
    LARGEST,
    TemplateSettings,
    TokenizerSettings,
    read_settings,
)

TEMPLATE_FILE = "chat_template.jinja"


def read_chat_template(directory: Path, *, processor: bool) -> str | None:
    """The Jinja source of a model's chat template, None where it has none.

    ``AutoProcessor`` prefers the template of ``processor_config.json`` and the older
    ``chat_template.json`` to ``chat_template.jinja``; ``AutoTokenizer`` reads neither. Both come
    to ``tokenizer_config.json`` last.

    Args:
        directory: of a checkpoint or a package.
        processor: whether the model also sees, so that a processor reads its files.

    Raises:
        FormatError: a file that was looked at is malformed.
    """
    if processor:
        for name in ("processor_config.json", "chat_template.json"):
            settings = read_settings(TemplateSettings, directory / name, required=False)
            if settings.chat_template is not None:
                return settings.chat_template
    file = directory / TEMPLATE_FILE
    if file.exists():
        return _text(file)
    return read_settings(
        TokenizerSettings, directory / "tokenizer_config.json", required=False
    ).template()


def _text(file: Path) -> str:
    try:
        if file.stat().st_size > LARGEST:
            raise ValueError(f"it is larger than {LARGEST >> 20} MB")
        return file.read_text("utf-8")
    except (OSError, ValueError) as error:
        raise FormatError(
            f"the chat template cannot be read: {error}",
            where=file,
            mend="take over the chat template of the original model",
        ) from error
