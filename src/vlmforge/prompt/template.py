"""ChatTemplate: messages become the text a model was trained on."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, NoReturn

import jinja2
from jinja2 import meta, nodes

from vlmforge.errors import PackageError, RunError
from vlmforge.formats.chat_template import read_chat_template
from vlmforge.formats.settings import TokenizerSettings, read_settings
from vlmforge.prompt.budget import NODE, Budget
from vlmforge.prompt.messages import SHOWN, Message, Tool, characters
from vlmforge.prompt.sandbox import Sandbox, spending

LONGEST_SOURCE = 1 << 17
"""Characters of a template; those in use have a tenth."""

TOOLS_NAMES = ("tools", "xml_tools")
"""What chat templates call the tools; SmolLM3's tells two kinds apart, of which this is JSON."""

UNITS = 3_000_000
"""Of the budget of any rendering; see :class:`Budget`."""

UNITS_A_CHARACTER = 64
UNITS_A_MESSAGE = 1024 * NODE
"""More of it, for what the messages hold: templates may go through all for each."""


class ChatTemplate:
    """A Jinja chat template, rendered in a sandbox as Hugging Face renders it.

    Args:
        source: the Jinja source.
        special_tokens: variables such as ``eos_token`` that templates refer to.

    Attributes:
        literals: all texts that it writes of itself, with zero bytes between them.
        tools_name: what it calls tools, None where it has no place for them.

    Raises:
        PackageError: the source is not a Jinja template, too long or nested too deeply.
    """

    def __init__(self, source: str, special_tokens: Mapping[str, str] | None = None) -> None:
        self.special_tokens = dict(special_tokens or {})
        if len(source) > LONGEST_SOURCE:
            raise _unparsable(f"it has {len(source)} characters, at most {LONGEST_SOURCE} are read")
        try:
            with spending(Budget(UNITS)):
                self._template = _SANDBOX.from_string(source)
            parsed = _SANDBOX.parse(source)
            self.literals = _literals(parsed)
            asked = meta.find_undeclared_variables(parsed)
            self.tools_name = next((name for name in TOOLS_NAMES if name in asked), None)
        except RecursionError as error:
            raise _unparsable("it is nested too deeply") from error
        except Exception as error:  # Jinja's own, and those of Python's compiler
            raise _unparsable(str(error)[:500]) from error

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

    def render(
        self,
        messages: Sequence[Message],
        *,
        generation_prompt: bool = True,
        tools: Sequence[Tool] = (),
    ) -> str:
        """The conversation as text; each image and video leaves the template's placeholder.

        Args:
            messages: the conversation.
            generation_prompt: whether to open the assistant's next message.
            tools: what the assistant may call.

        Raises:
            RunError: the template rejects the messages, has no place for the tools, or takes too
                much time or memory.
        """
        if tools and self.tools_name is None:
            raise RunError(
                "the chat template has no place for tools",
                mend="ask without tools, or take a package of a model that was trained for them",
            )
        shown = {self.tools_name: list(tools)} if tools and self.tools_name else {}
        plain, given = [_plain(message) for message in messages], len(messages) + len(tools)
        units = UNITS + UNITS_A_CHARACTER * characters([plain, *tools]) + UNITS_A_MESSAGE * given
        try:
            with spending(Budget(units)):
                return self._template.render(
                    messages=plain,
                    add_generation_prompt=generation_prompt,
                    documents=None,
                    **{"tools": None, **shown},
                    **self.special_tokens,
                )
        except RunError:
            raise
        except RecursionError as error:
            raise RunError(
                "the chat template calls itself without end",
                mend="take over the chat template of the original model",
            ) from error
        except Exception as error:  # whatever its expressions raise
            raise RunError(
                f"the chat template rejects the messages: {str(error)[:500]}",
                mend='give messages as {"role": "user", "content": [{"type": "text", ...}]}',
            ) from error


def _unparsable(why: str) -> PackageError:
    return PackageError(
        f"the chat template does not parse: {why}",
        mend="take over the chat template of the original model",
    )


def _literals(template: nodes.Template) -> str:
    """All texts that a template writes of itself, with zero bytes between them."""
    texts = [node.data for node in template.find_all(nodes.TemplateData)]
    values = [node.value for node in template.find_all(nodes.Const)]
    return "\0".join([*texts, *(value for value in values if isinstance(value, str))])


def _to_json(value: Any, indent: int | None = None, **options: Any) -> str:
    return json.dumps(value, **{"ensure_ascii": False, "indent": indent, **options})


def _raise_exception(message: str) -> NoReturn:
    raise jinja2.TemplateError(message)


def _sandbox() -> Sandbox:
    sandbox = Sandbox()
    sandbox.add_filter("tojson", _to_json)
    sandbox.globals["raise_exception"] = _raise_exception
    sandbox.globals["strftime_now"] = lambda form: datetime.now().strftime(form)
    return sandbox


_SANDBOX = _sandbox()


def _plain(message: Message) -> dict[str, Any]:
    """The message with what it shows reduced to its place: templates never see pixels."""
    content = message.get("content")
    if isinstance(content, (list, tuple)):
        content = [
            {"type": part["type"]}
            if isinstance(part, Mapping) and part.get("type") in SHOWN
            else part
            for part in content
        ]
    return {**message, "content": content}
