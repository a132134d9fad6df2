"""What a request of the Responses interface says, as a request for chat completions."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, TypeAdapter

from vlmforge.serve.openai.chat_request import ChatRequest, NamedSchema
from vlmforge.serve.openai.fields import Common, Fields
from vlmforge.serve.openai.tools import Name


class InputPart(Fields):
    """A part of a message: a text, of a question or an answer, or an image."""

    type: Literal["input_text", "output_text", "input_image"]
    text: str | None = None
    image_url: str | None = None
    detail: Literal["auto", "low", "high"] | None = None
    annotations: list[Any] | None = None
    logprobs: list[Any] | None = None

    def part(self) -> dict[str, Any]:
        """As chat completions have it."""
        if self.type == "input_image":
            return {
                "type": "image_url",
                "image_url": {"url": self.image_url, "detail": self.detail},
            }
        return {"type": "text", "text": self.text}


class InputMessage(Fields):
    """A turn of the conversation."""

    type: Literal["message"] = "message"
    role: Literal["system", "developer", "user", "assistant"]
    content: str | list[InputPart]
    id: str | None = None
    status: str | None = None

    def message(self) -> dict[str, Any]:
        """As chat completions have it."""
        if isinstance(self.content, str):
            return {"role": self.role, "content": self.content}
        return {"role": self.role, "content": [part.part() for part in self.content]}


class InputCall(Fields):
    """A call that an earlier answer made."""

    type: Literal["function_call"]
    call_id: str
    name: str
    arguments: str
    id: str | None = None
    status: str | None = None

    def message(self) -> dict[str, Any]:
        """As chat completions have it."""
        function = {"name": self.name, "arguments": self.arguments}
        call = {"id": self.call_id, "type": "function", "function": function}
        return {"role": "assistant", "content": None, "tool_calls": [call]}


class InputResult(Fields):
    """What a call gave."""

    type: Literal["function_call_output"]
    call_id: str
    output: str
    id: str | None = None
    status: str | None = None

    def message(self) -> dict[str, Any]:
        """As chat completions have it."""
        return {"role": "tool", "tool_call_id": self.call_id, "content": self.output}


class TextFormat(NamedSchema):
    """Which texts an answer may be; the name and schema of the type ``json_schema`` alone."""

    name: Name = "schema"
    type: Literal["text", "json_object", "json_schema"]

    def response_format(self) -> dict[str, Any]:
        """As chat completions have it."""
        if self.type != "json_schema":
            return {"type": self.type}
        schema = {"name": self.name, "schema": self.schema_, "strict": self.strict}
        return {"type": self.type, "json_schema": schema}


class TextFields(Fields):
    """Of the text of an answer."""

    format: TextFormat | None = None


class ResponseTool(Fields):
    """A function that may be called."""

    type: Literal["function"]
    name: Name
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None

    def tool(self) -> dict[str, Any]:
        """As chat completions have it."""
        return {"type": "function", "function": self.model_dump(exclude={"type"})}


class ResponseChoice(Fields):
    """The choice of one function."""

    type: Literal["function"]
    name: Name


class ResponseRequest(Common):
    """A request for a response. No responses are kept, so none can be gone on with by its id."""

    input: str | Annotated[list[InputMessage | InputCall | InputResult], Field(min_length=1)]
    instructions: str | None = None
    max_output_tokens: Annotated[int, Field(ge=1)] | None = None
    text: TextFields | None = None
    tools: list[ResponseTool] | None = None
    tool_choice: Literal["none", "auto", "required"] | ResponseChoice | None = None
    parallel_tool_calls: bool | None = None
    truncation: Literal["disabled"] | None = None
    include: Annotated[list[str], Field(max_length=0)] | None = None

    def chat(self) -> ChatRequest:
        """The same for chat completions; raises pydantic's ValidationError."""
        chosen = self.tool_choice
        if isinstance(chosen, ResponseChoice):
            choice: Any = {"type": "function", "function": {"name": chosen.name}}
        else:
            choice = chosen
        form = self.text.format if self.text else None
        asked = {
            "model": self.model,
            "messages": self._messages(),
            "max_completion_tokens": self.max_output_tokens,
            "temperature": self.temperature,
            "top_p": self.top_p,
            "response_format": form and form.response_format(),
            "tools": [tool.tool() for tool in self.tools or []] or None,
            "tool_choice": choice,
        }
        return _CHAT.validate_python(asked)

    def _messages(self) -> list[dict[str, Any]]:
        given = [{"role": "user", "content": self.input}]
        if not isinstance(self.input, str):
            given = [item.message() for item in self.input]
        told = self.instructions
        return given if told is None else [{"role": "developer", "content": told}, *given]


_CHAT = TypeAdapter(ChatRequest)
