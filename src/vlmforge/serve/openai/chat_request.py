"""What a request for chat completions says."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from vlmforge.decode.grammar import Grammar
from vlmforge.serve.openai.fields import Asking, Fields
from vlmforge.serve.openai.talk import ChatMessage
from vlmforge.serve.openai.tools import FunctionChoice, FunctionTool, ToolChoice, required

MOST_TOP = 20
"""Alternatives of a token, as OpenAI has it."""


class NamedSchema(Fields):
    """A JSON schema with its name."""

    name: Annotated[str, Field(pattern=r"^[a-zA-Z0-9_-]{1,64}$")]
    description: str | None = None
    schema_: Annotated[dict[str, Any], Field(alias="schema", default_factory=dict)]
    strict: bool | None = None


class ResponseFormat(Fields):
    """Which texts an answer may be."""

    type: Literal["text", "json_object", "json_schema"]
    json_schema: NamedSchema | None = None

    @model_validator(mode="after")
    def _complete(self) -> ResponseFormat:
        if self.type == "json_schema" and self.json_schema is None:
            raise ValueError("the type json_schema needs the field json_schema")
        return self

    @property
    def grammar(self) -> Grammar | None:
        """That of the texts, None for any."""
        if self.type == "json_object":
            return Grammar.json_object()
        return Grammar.json_schema(self.json_schema.schema_) if self.json_schema else None


class ChatRequest(Asking):
    """A request for chat completions."""

    messages: Annotated[list[ChatMessage], Field(min_length=1)]
    max_tokens: Annotated[int, Field(ge=1)] | None = None
    max_completion_tokens: Annotated[int, Field(ge=1)] | None = None
    logprobs: bool | None = None
    top_logprobs: Annotated[int, Field(ge=0, le=MOST_TOP)] | None = None
    response_format: ResponseFormat | None = None
    tools: list[FunctionTool] | None = None
    tool_choice: ToolChoice | None = None
    parallel_tool_calls: bool | None = None
    modalities: list[Literal["text"]] | None = None

    @model_validator(mode="after")
    def _agree(self) -> ChatRequest:
        if self.top_logprobs is not None and not self.logprobs:
            raise ValueError("top_logprobs needs logprobs to be true")
        if not self.tools and self.tool_choice not in (None, "none", "auto"):
            raise ValueError("tool_choice needs tools")
        return self

    @property
    def calls(self) -> bool:
        """Whether answers may call tools."""
        return bool(self.tools) and self.tool_choice != "none"

    def grammar(self, marked: bool) -> Grammar | None:
        """That of the answers; raises ValueError for the choice of a tool that is not there."""
        if self.calls and self.tool_choice not in (None, "auto"):
            chosen = self.tool_choice
            name = chosen.function.name if isinstance(chosen, FunctionChoice) else None
            return required(self.tools or [], name, marked)
        return None if self.response_format is None else self.response_format.grammar
