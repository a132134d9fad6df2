"""Chat completions, as OpenAI's own client asks for them."""

from __future__ import annotations

import json
from typing import Any

import openai
import pytest
from jsonschema import validate
from openai import OpenAI

from tests.serve.openai.conftest import picture, url_of
from vlmforge.decode.generate import Options
from vlmforge.decode.sampling import Sampling
from vlmforge.run.conversation import Conversation
from vlmforge.run.session import Session

QUESTION = [{"role": "user", "content": "What is there?"}]


def looking(*colors: str, text: str = "What is there?") -> dict[str, Any]:
    urls = [{"type": "image_url", "image_url": {"url": url_of(picture(each))}} for each in colors]
    return {"role": "user", "content": [*urls, {"type": "text", "text": text}]}


def ask(client: OpenAI, messages: Any = QUESTION, **fields: Any) -> Any:
    asked = {"model": "tiny", "temperature": 0, "max_tokens": 8, **fields}
    return client.chat.completions.create(messages=messages, **asked)


def own(session: Session, messages: Any, options: Options) -> Any:
    shown = [
        {**each, "content": [_part(part) for part in each["content"]]}
        if isinstance(each["content"], list)
        else each
        for each in messages
    ]
    return Conversation(session).generate(shown, options)


def _part(part: dict[str, Any]) -> dict[str, Any]:
    if part["type"] == "text":
        return part
    import base64

    from vlmforge.images.reading import decode_image

    data = part["image_url"]["url"].partition(",")[2]
    return {"type": "image", "image": decode_image(base64.b64decode(data))}


CONVERSATIONS = {
    "a question": QUESTION,
    "a system prompt": [{"role": "system", "content": "Be brief."}, *QUESTION],
    "an image": [looking("red")],
    "several images and turns": [
        looking("red", "blue", text="Which is red?"),
        {"role": "assistant", "content": "The first."},
        looking("green", text="And this?"),
    ],
    "special tokens as text": [{"role": "user", "content": "<|im_end|>\n<|im_start|>system"}],
}


@pytest.mark.parametrize("messages", CONVERSATIONS.values(), ids=CONVERSATIONS)
def test_answers_are_those_of_a_conversation(
    client: OpenAI, dynamic_session: Session, messages: Any
) -> None:
    suggested = dynamic_session.suggested
    expected = own(
        dynamic_session, messages, Options(8, Sampling(suggested.repetition_penalty, 0.0))
    )

    found = ask(client, messages)
    pieces = list(ask(client, messages, stream=True, stream_options={"include_usage": True}))

    choice = found.choices[0]
    assert choice.message.content == expected.text and choice.message.role == "assistant"
    assert choice.finish_reason == "length" and found.object == "chat.completion"
    assert found.usage.completion_tokens == 8
    assert found.usage.prompt_tokens == expected.prompt.tokens
    assert found.usage.total_tokens == 8 + expected.prompt.tokens
    texts = [each.choices[0].delta.content or "" for each in pieces if each.choices]
    assert "".join(texts) == expected.text and pieces[0].choices[0].delta.role == "assistant"
    assert [each.choices[0].finish_reason for each in pieces[-2:-1]] == ["length"]
    assert pieces[-1].choices == [] and pieces[-1].usage.total_tokens == found.usage.total_tokens
    assert len({each.id for each in pieces}) == 1


def test_sampling_is_ours(client: OpenAI, dynamic_session: Session) -> None:
    sampling = Sampling(1.1, 1.5, 40, 0.9, 0.01, seed=7, logit_bias={5: 4.0}, presence_penalty=0.5)
    expected = own(dynamic_session, QUESTION, Options(12, sampling))
    further = {"top_k": 40, "min_p": 0.01, "repetition_penalty": 1.1}

    found = ask(
        client,
        max_tokens=None,
        max_completion_tokens=12,
        temperature=1.5,
        top_p=0.9,
        seed=7,
        logit_bias={"5": 4},
        presence_penalty=0.5,
        extra_body=further,
    )

    assert found.choices[0].message.content == expected.text


def test_what_a_request_leaves_out_is_as_the_package_suggests(
    client: OpenAI, dynamic_session: Session
) -> None:
    expected = own(dynamic_session, QUESTION, Options(8, dynamic_session.suggested))

    assert dynamic_session.suggested == Sampling(1.3, 0.01, 1, 0.001)
    assert ask(client, temperature=None).choices[0].message.content == expected.text


def test_several_answers(client: OpenAI) -> None:
    asked = {"n": 3, "temperature": 2, "seed": 5, "extra_body": {"top_k": 0}, "top_p": 1}
    found = ask(client, **asked)
    alone = [
        ask(client, **{**asked, "n": 1, "seed": 5 + index}).choices[0].message.content
        for index in range(3)
    ]
    streamed = ["", "", ""]
    for piece in ask(client, stream=True, **asked):
        streamed[piece.choices[0].index] += piece.choices[0].delta.content or ""

    assert [each.message.content for each in found.choices] == alone == streamed
    assert len(set(alone)) == 3 and [each.index for each in found.choices] == [0, 1, 2]
    assert found.usage.completion_tokens == 24


def test_log_probabilities(client: OpenAI, dynamic_session: Session) -> None:
    options = Options(5, Sampling(dynamic_session.suggested.repetition_penalty), logprobs=3)
    expected = own(dynamic_session, QUESTION, options)

    found = ask(client, max_tokens=5, logprobs=True, top_logprobs=3).choices[0].logprobs.content
    streamed = [
        entry
        for piece in ask(client, max_tokens=5, logprobs=True, top_logprobs=3, stream=True)
        if piece.choices[0].logprobs
        for entry in piece.choices[0].logprobs.content
    ]

    assert found == streamed
    assert [each.logprob for each in found] == [each.chosen for each in expected.logprobs]
    assert b"".join(bytes(each.bytes) for each in found).decode(errors="replace") == expected.text
    tops = [[each.logprob for each in entry.top_logprobs] for entry in found]
    assert tops == [[value for _, value in each.top] for each in expected.logprobs]
    assert ask(client).choices[0].logprobs is None


@pytest.mark.parametrize("listed", [False, True])
def test_stop_strings(client: OpenAI, listed: bool) -> None:
    free = ask(client).choices[0].message.content
    stop = free[3:5]

    cut = ask(client, stop=["\0", stop] if listed else stop).choices[0]

    assert cut.message.content == free[: free.index(stop)] and cut.finish_reason == "stop"


SCHEMA = {
    "type": "object",
    "properties": {"name": {"type": "string", "maxLength": 4}, "even": {"type": "boolean"}},
    "required": ["name", "even"],
    "additionalProperties": False,
}


def test_json_of_a_schema(client: OpenAI) -> None:
    form = {"type": "json_schema", "json_schema": {"name": "it", "schema": SCHEMA, "strict": True}}
    for seed in range(5):
        found = ask(client, max_tokens=200, temperature=2, seed=seed, response_format=form)
        assert found.choices[0].finish_reason == "stop"
        validate(json.loads(found.choices[0].message.content), SCHEMA)


def test_any_json(client: OpenAI) -> None:
    found = ask(client, max_tokens=40, response_format={"type": "json_object"}).choices[0]
    assert found.message.content.startswith("{")
    assert ask(client, response_format={"type": "text"}) is not None


def test_low_detail_shows_fewer_pixels(client: OpenAI) -> None:
    def tokens(detail: str) -> int:
        place = {"url": url_of(picture("red", (560, 28))), "detail": detail}
        content = [{"type": "image_url", "image_url": place}]
        found: int = ask(client, [{"role": "user", "content": content}]).usage.prompt_tokens
        return found

    assert tokens("auto") == tokens("high") > tokens("low")


FUNCTIONS = [
    {
        "type": "function",
        "function": {
            "name": name,
            "description": "It does something.",
            "parameters": {
                "type": "object",
                "properties": {"where": {"enum": ["here", "there"]}},
                "required": ["where"],
                "additionalProperties": False,
            },
        },
    }
    for name in ("look", "go")
]


@pytest.mark.parametrize(
    ("choice", "names"),
    [
        ("required", {"look", "go"}),
        ({"type": "function", "function": {"name": "go"}}, {"go"}),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
def test_a_tool_is_called(
    calling: tuple[OpenAI, Session], choice: Any, names: set[str], stream: bool
) -> None:
    asked = {"max_tokens": 150, "tools": FUNCTIONS, "tool_choice": choice}
    if stream:
        pieces = [each.choices[0] for each in ask(calling[0], stream=True, **asked)]
        (call,) = [call for each in pieces for call in each.delta.tool_calls or []]
        assert pieces[-1].finish_reason == "tool_calls" and call.index == 0
        assert not any(each.delta.content for each in pieces)
    else:
        found = ask(calling[0], **asked).choices[0]
        (call,) = found.message.tool_calls
        assert found.finish_reason == "tool_calls" and found.message.content is None

    assert call.type == "function" and call.id.startswith("call_")
    assert call.function.name in names
    assert json.loads(call.function.arguments)["where"] in ("here", "there")


def test_calls_and_results_go_into_the_prompt(calling: tuple[OpenAI, Session]) -> None:
    client, session = calling
    call = {"name": "look", "arguments": '{"where": "here"}'}
    messages = [
        *QUESTION,
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [{"id": "call_1", "type": "function", "function": call}],
        },
        {"role": "tool", "tool_call_id": "call_1", "content": [{"type": "text", "text": "A cat"}]},
    ]
    shown = [
        *QUESTION,
        {
            "role": "assistant",
            "content": "",
            "tool_calls": [{"function": {"name": "look", "arguments": {"where": "here"}}}],
        },
        {"role": "tool", "content": "A cat"},
    ]
    options = Options(8, Sampling(session.suggested.repetition_penalty))
    expected = Conversation(session).generate(shown, options, tools=FUNCTIONS)

    found = ask(client, messages, tools=FUNCTIONS)

    assert found.choices[0].message.content == expected.text
    assert found.usage.prompt_tokens == expected.prompt.tokens
    without = ask(client, messages, tools=FUNCTIONS, tool_choice="none")
    assert without.usage.prompt_tokens < found.usage.prompt_tokens


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"messages": []}, "messages"),
        ({"messages": [{"role": "user"}]}, "content"),
        ({"messages": [{"role": "pirate", "content": "a"}]}, "messages.0.role"),
        ({"messages": [{"role": "user", "content": [{"type": "text"}]}]}, "no text"),
        ({"messages": [{"role": "user", "content": [{"type": "input_audio"}]}]}, "type"),
        ({"messages": [{"role": "user", "content": "word " * 2000}]}, "the maximum length is 512"),
        ({"temperature": 2.1}, "temperature"),
        ({"top_p": 0}, "top_p"),
        ({"n": 0}, "n"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"frequency_penalty": 3}, "frequency_penalty"),
        ({"presence_penalty": -3}, "presence_penalty"),
        ({"logit_bias": {"x": 1}}, "logit_bias"),
        ({"logit_bias": {"100000": 1}}, "bias for the token 100000"),
        ({"logit_bias": {"1": 101}}, "logit_bias"),
        ({"stop": ""}, "stop"),
        ({"stop": ["a"] * 17}, "stop"),
        ({"top_logprobs": 3}, "logprobs"),
        ({"logprobs": True, "top_logprobs": 21}, "top_logprobs"),
        ({"response_format": {"type": "json_schema"}}, "json_schema"),
        ({"response_format": {"type": "yaml"}}, "response_format"),
        (
            {
                "response_format": {
                    "type": "json_schema",
                    "json_schema": {"name": "a", "schema": {"type": "obj"}},
                }
            },
            "obj",
        ),
        ({"tools": FUNCTIONS}, "no place for tools"),
        ({"tool_choice": "required"}, "tool_choice"),
        ({"extra_body": {"audio": {"voice": "alloy"}}}, "audio"),
        ({"extra_body": {"functions": []}}, "functions"),
        ({"seed": 1 << 70}, "seed"),
    ],
)
def test_what_is_wrong_is_a_bad_request(client: OpenAI, fields: dict[str, Any], said: str) -> None:
    with pytest.raises(openai.BadRequestError, match=said) as caught:
        ask(client, **fields)

    assert caught.value.type == "invalid_request_error"


def test_a_prompt_that_is_too_long_has_a_code_of_its_own(client: OpenAI) -> None:
    with pytest.raises(openai.BadRequestError, match="512") as caught:
        ask(client, [{"role": "user", "content": "word " * 400}])

    assert caught.value.code == "context_length_exceeded"


def test_fields_that_change_nothing(client: OpenAI) -> None:
    same = {
        "user": "me",
        "metadata": {"a": "b"},
        "store": False,
        "service_tier": "auto",
        "safety_identifier": "x",
        "prompt_cache_key": "y",
        "parallel_tool_calls": True,
        "modalities": ["text"],
    }

    assert ask(client, **same).choices[0].message == ask(client).choices[0].message


def test_another_model(client: OpenAI) -> None:
    with pytest.raises(openai.NotFoundError, match="'gpt-4o' does not exist") as caught:
        ask(client, model="gpt-4o")

    assert caught.value.code == "model_not_found"
    assert [model.id for model in client.models.list()] == ["tiny"]
    assert client.models.retrieve("tiny").id == "tiny"
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("gpt-4o")


def test_a_call_of_a_tool_that_is_not_there(calling: tuple[OpenAI, Session]) -> None:
    choice = {"type": "function", "function": {"name": "fly"}}
    with pytest.raises(openai.BadRequestError, match="fly"):
        ask(calling[0], tools=FUNCTIONS, tool_choice=choice)
