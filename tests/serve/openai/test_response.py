"""Responses, as OpenAI's own client asks for them."""

from __future__ import annotations

import json
from typing import Any

import openai
import pytest
from openai import OpenAI

from tests.serve.openai.conftest import picture, url_of
from tests.serve.openai.test_chat import FUNCTIONS, QUESTION, SCHEMA
from tests.serve.openai.test_chat import ask as ask_chat
from vlmforge.run.session import Session

TOOLS = [{"type": "function", **each["function"]} for each in FUNCTIONS]


def ask(client: OpenAI, given: Any = "What is there?", **fields: Any) -> Any:
    asked = {"model": "tiny", "temperature": 0, "max_output_tokens": 8, **fields}
    return client.responses.create(input=given, **asked)


def test_the_answer_is_that_of_a_chat(client: OpenAI) -> None:
    expected = ask_chat(client)

    found = ask(client)

    assert found.output_text == expected.choices[0].message.content
    assert found.status == "incomplete"
    assert found.incomplete_details.reason == "max_output_tokens"
    assert found.usage.input_tokens == expected.usage.prompt_tokens
    assert found.usage.output_tokens == 8


def test_instructions_images_and_turns(client: OpenAI) -> None:
    url = url_of(picture("red"))
    given = [
        {
            "role": "user",
            "content": [
                {"type": "input_image", "image_url": url, "detail": "auto"},
                {"type": "input_text", "text": "What?"},
            ],
        },
        {"role": "assistant", "content": "A square."},
        {"role": "user", "content": "Where?"},
    ]
    chat = [
        {"role": "system", "content": "Be brief."},
        {
            "role": "user",
            "content": [
                {"type": "image_url", "image_url": {"url": url}},
                {"type": "text", "text": "What?"},
            ],
        },
        *given[1:],
    ]

    found = ask(client, given, instructions="Be brief.")

    assert found.output_text == ask_chat(client, chat).choices[0].message.content
    again = ask(client, [*QUESTION, *found.output, {"role": "user", "content": "Why?"}])
    assert again.output_text


def test_a_stream_ends_with_the_whole(client: OpenAI) -> None:
    whole = ask(client)
    events = list(ask(client, stream=True))

    deltas = [each.delta for each in events if each.type == "response.output_text.delta"]
    assert "".join(deltas) == whole.output_text == events[-1].response.output_text
    assert events[-1].type == "response.incomplete"
    assert [each.sequence_number for each in events] == list(range(len(events)))
    kinds = [each.type for each in events if "delta" not in each.type]
    assert kinds == [
        "response.created",
        "response.in_progress",
        "response.output_item.added",
        "response.content_part.added",
        "response.output_text.done",
        "response.content_part.done",
        "response.output_item.done",
        "response.incomplete",
    ]


def test_json_of_a_schema(client: OpenAI) -> None:
    form = {"type": "json_schema", "name": "it", "schema": SCHEMA, "strict": True}
    found = ask(client, max_output_tokens=200, text={"format": form})

    assert found.status == "completed" and set(json.loads(found.output_text)) == {"name", "even"}


@pytest.mark.parametrize("stream", [False, True])
def test_a_tool_is_called_and_its_result_told(
    calling: tuple[OpenAI, Session], stream: bool
) -> None:
    client = calling[0]
    asked = {"tools": TOOLS, "max_output_tokens": 150, "tool_choice": "required"}
    answer = ask(client, stream=stream, **asked)
    found = list(answer)[-1].response if stream else answer

    (call,) = found.output
    assert call.type == "function_call" and json.loads(call.arguments)["where"]
    result = {"type": "function_call_output", "call_id": call.call_id, "output": "A cat"}
    assert ask(client, [*QUESTION, call.to_dict(), result], tools=TOOLS).output_text


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"previous_response_id": "resp_1"}, "previous_response_id"),
        ({"conversation": "conv_1"}, "conversation"),
        ({"include": ["message.output_text.logprobs"]}, "include"),
        ({"truncation": "auto"}, "truncation"),
        ({"reasoning": {"effort": "low"}}, "reasoning"),
        ({"tools": [{"type": "web_search"}]}, "tools"),
        ({"tool_choice": "required"}, "tool_choice"),
        ({"background": True}, "background"),
        ({"input": []}, "input"),
        ({"input": [{"role": "user", "content": [{"type": "input_file"}]}]}, "type"),
        ({"input": [{"role": "user", "content": [{"type": "input_image"}]}]}, "image_url"),
    ],
)
def test_what_is_not_honoured_is_refused(client: OpenAI, fields: Any, said: str) -> None:
    given = fields.pop("input", "a")
    with pytest.raises(openai.BadRequestError, match=said):
        ask(client, given, **fields)
