"""Text completions, as OpenAI's own client asks for them."""

from __future__ import annotations

from typing import Any

import openai
import pytest
from openai import OpenAI

from vlmforge.decode.generate import Options
from vlmforge.decode.sampling import Sampling
from vlmforge.run.session import Session
from vlmforge.serve.engine import Engine


def ask(client: OpenAI, prompt: Any = "The image", **fields: Any) -> Any:
    asked = {"model": "tiny", "temperature": 0, "max_tokens": 6, **fields}
    return client.completions.create(prompt=prompt, **asked)


def spelling(token: str) -> bytes:
    """The bytes of a token's name."""
    if token.startswith("bytes:"):
        return bytes.fromhex(token.removeprefix("bytes:").replace("\\x", ""))
    return token.encode()


def own(session: Session, prompt: Any, **options: Any) -> Any:
    sampling = Sampling(session.suggested.repetition_penalty)
    with Engine(session) as engine:
        return engine.submit_text(prompt, Options(6, sampling, **options)).result(60)


def test_a_text_goes_on(client: OpenAI, dynamic_session: Session) -> None:
    expected = own(dynamic_session, "The image")

    found = ask(client)
    pieces = list(ask(client, stream=True, stream_options={"include_usage": True}))

    assert found.choices[0].text == expected.text and found.object == "text_completion"
    assert found.usage.completion_tokens == 6
    assert found.usage.prompt_tokens == expected.prompt.tokens
    assert "".join(each.choices[0].text for each in pieces[:-1]) == expected.text
    assert pieces[-1].usage.total_tokens == found.usage.total_tokens
    assert pieces[-2].choices[0].finish_reason == "length"


def test_several_prompts_and_tokens(client: OpenAI, dynamic_session: Session) -> None:
    texts = ["One", "Two two"]
    tokens = [dynamic_session.prompts.encode_text(text).tolist() for text in texts]

    of_texts, of_tokens = ask(client, texts, n=2), ask(client, tokens)

    expected = [own(dynamic_session, text).text for text in texts]
    assert [each.text for each in of_tokens.choices] == expected
    assert [each.text for each in of_texts.choices] == [each for each in expected for _ in "ab"]
    assert of_texts.usage.prompt_tokens == sum(map(len, tokens))
    assert ask(client, tokens[1]).choices[0].text == expected[1]


@pytest.mark.parametrize("limit", [0, 2])
def test_log_probabilities_of_a_text(client: OpenAI, dynamic_session: Session, limit: int) -> None:
    text = "The image shows a cat: 고양이."
    tokens = dynamic_session.prompts.encode_text(text).tolist()
    expected = own(dynamic_session, text, prompt_logprobs=1, logprobs=1)

    found = ask(client, text, echo=True, logprobs=1, max_tokens=limit).choices[0]

    own_part = expected.logprobs[:limit]
    values = [None, *(each.chosen for each in [*expected.prompt.logprobs, *own_part])]
    assert found.text.startswith(text) and (limit or found.text == text)
    assert found.logprobs.token_logprobs == values
    assert found.logprobs.top_logprobs[0] is None and len(found.logprobs.top_logprobs[1]) == 1
    spelled = b"".join(map(spelling, found.logprobs.tokens))
    assert spelled.decode(errors="replace") == found.text
    for start, token in zip(found.logprobs.text_offset, found.logprobs.tokens, strict=True):
        assert token.startswith("bytes:") or found.text[start:].startswith(token)
    assert len(found.logprobs.tokens) == len(tokens) + limit
    streamed = list(ask(client, text, echo=True, logprobs=1, max_tokens=limit, stream=True))
    assert "".join(each.choices[0].text for each in streamed) == found.text
    joined = [value for each in streamed for value in each.choices[0].logprobs.token_logprobs]
    assert joined == values


@pytest.mark.parametrize(
    ("prompt", "fields", "said"),
    [
        ("", {}, "no tokens"),
        ([], {}, "prompt"),
        ("a", {"max_tokens": 0}, "echo"),
        ("a", {"best_of": 3}, "best_of"),
        ("a", {"suffix": "b"}, "suffix"),
        ([100_000], {}, "the token 100000 is outside"),
        ([-1], {}, "prompt"),
        ([[1 << 80]], {}, "prompt"),
        ("word " * 400, {}, "512"),
        ("a", {"logprobs": 101}, "logprobs"),
    ],
)
def test_what_is_wrong(client: OpenAI, prompt: Any, fields: dict[str, Any], said: str) -> None:
    with pytest.raises(openai.BadRequestError, match=said):
        ask(client, prompt, **fields)


def test_placeholders_in_a_text_show_nothing(client: OpenAI, dynamic_session: Session) -> None:
    image = dynamic_session.prompts.placeholders.image

    assert ask(client, "<|image_pad|>").choices[0].text
    with pytest.raises(openai.BadRequestError, match="image tokens"):
        ask(client, [5, image, 5])
