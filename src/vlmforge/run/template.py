"""ChatTemplate: messages become the text a model was trained on."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, NoReturn

import jinja2
from jinja2.sandbox import ImmutableSandboxedEnvironment

from vlmforge.errors import PackageError, RunError
from vlmforge.run.settings import read_settings

Message = Mapping[str, Any]
"""``{"role": str, "content": str | [{"type": "text", "text": ...}, {"type": "image", ...}]}``."""


class ChatTemplate:
    """A Jinja chat template, rendered in a sandbox as Hugging Face renders it.

    Args:
        source: the Jinja source.
        special_tokens: variables such as ``eos_token`` that templates refer to.

    Raises:
        PackageError: the source is not a Jinja template.
    """

    def __init__(self, source: str, special_tokens: Mapping[str, str] | None = None) -> None:
        self.special_tokens = dict(special_tokens or {})
        try:
            self._template = _environment().from_string(source)
        except jinja2.TemplateError as error:
            raise PackageError(f"the chat template does not parse: {error}") from error

    @staticmethod
    def load(package_dir: Path) -> ChatTemplate:
        """The template of a package: ``chat_template.jinja``, ``.json`` or the tokenizer's.

        Raises:
            PackageError: the package has none, or its tokenizer settings are not JSON.
        """
        settings = read_settings(package_dir / "tokenizer_config.json", required=False)
        return ChatTemplate(_template_source(package_dir, settings), _special_tokens(settings))

    def render(self, messages: Sequence[Message], *, generation_prompt: bool = True) -> str:
        """The conversation as text; each image leaves the template's placeholder.

        Args:
            messages: the conversation.
            generation_prompt: whether to open the assistant's next message.

        Raises:
            RunError: the template rejects the messages.
        """
        try:
            return self._template.render(
                messages=[_plain(message) for message in messages],
                add_generation_prompt=generation_prompt,
                tools=None,
                documents=None,
                **self.special_tokens,
            )
        except (jinja2.TemplateError, TypeError) as error:
            raise RunError(
                f"the chat template rejects the messages: {error}",
                mend='give messages as {"role": "user", "content": [{"type": "text", ...}]}',
            ) from error


def _environment() -> ImmutableSandboxedEnvironment:
    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols"]
    )
    environment.filters["tojson"] = _to_json
    environment.globals["raise_exception"] = _raise_exception
    environment.globals["strftime_now"] = lambda form: datetime.now().strftime(form)
    return environment


def _to_json(value: Any, indent: int | None = None, **options: Any) -> str:
    return json.dumps(value, **{"ensure_ascii": False, "indent": indent, **options})


def _raise_exception(message: str) -> NoReturn:
    raise jinja2.TemplateError(message)


def _plain(message: Message) -> dict[str, Any]:
    """The message with its images reduced to their places: templates never see pixels."""
    content = message.get("content")
    if isinstance(content, Sequence) and not isinstance(content, str):
        content = [{"type": "image"} if part.get("type") == "image" else part for part in content]
    return {**message, "content": content}


def _template_source(package_dir: Path, settings: Mapping[str, Any]) -> str:
    jinja_file = package_dir / "chat_template.jinja"
    if jinja_file.is_file():
        return jinja_file.read_text(encoding="utf-8")
    own = read_settings(package_dir / "chat_template.json", required=False)
    template = own.get("chat_template") or settings.get("chat_template")
    if isinstance(template, list):
        template = {entry["name"]: entry["template"] for entry in template}.get("default")
    if not isinstance(template, str):
        raise PackageError(
            "the package has no chat template",
            where=package_dir,
            mend="compile from a checkpoint with a chat template, or add chat_template.jinja",
        )
    return template


def _special_tokens(settings: Mapping[str, Any]) -> dict[str, str]:
    names = ("bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token")
    tokens = {name: settings.get(name) for name in names}
    texts = {n: t.get("content") if isinstance(t, dict) else t for n, t in tokens.items()}
    return {name: text for name, text in texts.items() if text is not None}
