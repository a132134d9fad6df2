"""ChatTemplate: messages become the text a model was trained on."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, NoReturn

import jinja2
from jinja2 import nodes
from jinja2.ext import Extension, loopcontrols
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment

from vlmforge.errors import PackageError, RunError
from vlmforge.formats.chat_template import read_chat_template
from vlmforge.formats.settings import TokenizerSettings, read_settings

Message = Mapping[str, Any]
"""``{"role": str, "content": str | [{"type": "text", "text": ...}, {"type": "image", ...}]}``."""


class GenerationBlock(Extension):
    """``{% generation %}``: marks for training what the assistant says; renders what it holds."""

    tags = {"generation"}  # noqa: RUF012 - jinja2 declares it so

    def parse(self, parser: Parser) -> list[nodes.Node]:
        """The statements up to ``{% endgeneration %}``, in a scope of their own."""
        line = next(parser.stream).lineno
        body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
        return [nodes.Scope(body, lineno=line)]


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
    def load(directory: Path, *, processor: bool = True) -> ChatTemplate:
        """The template of a package, found where transformers finds it.

        Args:
            directory: of the package.
            processor: whether the package has a vision program.

        Raises:
            PackageError: the package has no template, or one that is not Jinja.
            FormatError: a settings file is malformed.
        """
        source = read_chat_template(directory, processor=processor)
        if source is None:
            raise PackageError(
                "the package has no chat template",
                where=directory,
                mend="add the original model's chat_template.jinja; without one, only texts can "
                "be predicted: vlmforge eval PACKAGE --text FILE",
            )
        file = directory / "tokenizer_config.json"
        settings = read_settings(TokenizerSettings, file, required=False)
        return ChatTemplate(source, settings.special_tokens())

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
        trim_blocks=True, lstrip_blocks=True, extensions=[GenerationBlock, loopcontrols]
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
