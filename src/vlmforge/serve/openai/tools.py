"""Tools: what an answer may call, and the calls within it."""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import Field

from vlmforge.decode.grammar import Grammar, schema_text
from vlmforge.decode.stop import StopStrings
from vlmforge.prompt.messages import Tool
from vlmforge.serve.openai.fields import Fields

Name = Annotated[str, Field(pattern=r"^[a-zA-Z0-9_.-]{1,64}$")]

MARK, END = "<tool_call>", "</tool_call>"
"""Around each call, in the form of Hermes, which Qwen, SmolLM3 and others took over."""

_CALL = re.compile(rf"{MARK}\s*(.*?)\s*(?:{END}|\Z)", re.DOTALL)


class Function(Fields):
    """A function that may be called."""

    name: Name
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None


class FunctionTool(Fields):
    """A tool that is a function."""

    type: Literal["function"]
    function: Function

    def shown(self) -> Tool:
        """As chat templates take it."""
        return {"type": "function", "function": self.function.model_dump(exclude_none=True)}


class FunctionName(Fields):
    """The function that is to be called."""

    name: Name


class FunctionChoice(Fields):
    """The choice of one function."""

    type: Literal["function"]
    function: FunctionName


ToolChoice = Literal["none", "auto", "required"] | FunctionChoice


class CalledFunction(Fields):
    """A function with its arguments, as JSON."""

    name: str
    arguments: str


class ToolCall(Fields):
    """A call within an answer."""

    id: str
    type: Literal["function"] = "function"
    function: CalledFunction

    def shown(self) -> dict[str, Any]:
        """As chat templates take it: the arguments as an object."""
        arguments = _json(self.function.arguments)
        given = self.function.arguments if arguments is None else arguments
        function = {"name": self.function.name, "arguments": given}
        return {"id": self.id, "type": self.type, "function": function}


class CallReader:
    """Finds the calls in an answer while it grows.

    Args:
        marked: whether calls stand between :data:`MARK` and :data:`END`; otherwise an answer that
            is JSON as a whole is a call, or a list of calls.
    """

    def __init__(self, marked: bool) -> None:
        self._marked, self._text, self._given = marked, "", 0
        self._before = StopStrings([MARK])

    def push(self, text: str) -> str:
        """What is certainly no call, of the text that has come and has not been given."""
        self._text += text
        certain = self._certain(text)
        self._given += len(certain)
        return certain

    def finish(self) -> tuple[str, list[ToolCall]]:
        """What is left to be shown at the end of the answer, and its calls."""
        texts = _CALL.findall(self._text) if self._marked else [self._text]
        calls = [call for text in texts for call in _calls(text)]
        return "" if calls else self._text[self._given :], calls

    def _certain(self, text: str) -> str:
        if self._marked:
            return "" if self._before.found else self._before.push(text)
        return "" if self._text.lstrip()[:1] in ("", "{", "[") else self._text[self._given :]


def takes_marks(literals: str) -> bool:
    """Whether a chat template that writes these texts marks calls."""
    return MARK in literals


def required(tools: Sequence[FunctionTool], name: str | None, marked: bool) -> Grammar:
    """The grammar of one call of any of the tools, or of the one of that name.

    Raises:
        ValueError: there is no such tool.
    """
    chosen = [tool.function for tool in tools if name in (None, tool.function.name)]
    if not chosen:
        raise ValueError(f"there is no tool {name!r}")
    schema = {"anyOf": [_schema(function, marked) for function in chosen]}
    if not marked:
        return Grammar.json_schema(schema)
    return Grammar.lark(
        f"start: {json.dumps(MARK + chr(10))} call {json.dumps(chr(10) + END)}\n"
        f"call: %json {schema_text(schema)}\n"
    )


def _schema(function: Function, marked: bool) -> dict[str, Any]:
    arguments = "arguments" if marked else "parameters"
    properties = {"name": {"const": function.name}, arguments: function.parameters or {}}
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def _calls(text: str) -> list[ToolCall]:
    """The calls that a text is, none unless all of it is calls."""
    value = _json(text)
    each = value if isinstance(value, list) else [value]
    found = [_call(one) for one in each]
    return [call for call in found if call is not None] if all(found) else []


def _call(value: Any) -> ToolCall | None:
    if not isinstance(value, dict) or not isinstance(value.get("name"), str):
        return None
    arguments = value.get("arguments", value.get("parameters"))
    if not isinstance(arguments, dict):
        return None
    function = CalledFunction(
        name=value["name"], arguments=json.dumps(arguments, ensure_ascii=False)
    )
    return ToolCall(id=f"call_{secrets.token_hex(12)}", function=function)


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None
