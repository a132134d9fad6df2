"""Generation: stops, limits, streaming."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from vlmforge.decode.generate import Options
from vlmforge.decode.inputs import Inputs
from vlmforge.decode.log_probabilities import LogProbabilities
from vlmforge.decode.reading import CHUNK, extend
from vlmforge.decode.sampling import Sampling
from vlmforge.errors import RunError
from vlmforge.run.conversation import Conversation
from vlmforge.run.session import Session
from vlmforge.serve.engine import Engine

MESSAGES = [{"role": "user", "content": "Describe the image."}]


def test_greedy_repeats(session: Session) -> None:
    options = Options(max_new_tokens=8)
    answers = [Conversation(session).generate(MESSAGES, options) for _ in range(2)]

    assert answers[0] == answers[1]
    assert len(answers[0].token_ids) == 8 and answers[0].finish == "length"


def test_a_stop_token_ends_the_answer_and_is_not_text(session: Session) -> None:
    free = Conversation(session).generate(MESSAGES, Options(max_new_tokens=8))
    stop = free.token_ids[4]
    first = free.token_ids.index(stop)
    stopping = dataclasses.replace(session, stop_tokens=frozenset([stop]))

    answer = Conversation(stopping).generate(MESSAGES, Options(max_new_tokens=8))

    assert answer.token_ids == free.token_ids[: first + 1] and answer.finish == "stop"
    assert answer.text == session.prompts.tokenizer.decode(list(free.token_ids[:first]))


def test_streamed_text_adds_up(session: Session) -> None:
    pieces: list[str] = []
    answer = Conversation(session).generate(MESSAGES, Options(max_new_tokens=12), pieces.append)

    assert "".join(pieces) == answer.text and "" not in pieces
    assert answer.text == session.prompts.tokenizer.decode(list(answer.token_ids))


def test_only_the_last_step_finishes(session: Session) -> None:
    steps = list(Conversation(session).stream(MESSAGES, Options(max_new_tokens=5)))

    assert [step.finish for step in steps] == [None] * 4 + ["length"]


def test_the_maximum_length_ends_the_answer(tiny_package: Path, session: Session) -> None:
    prompt = len(session.inputs(MESSAGES))
    tight = Session.open(tiny_package, max_length=prompt + 3)
    answer = Conversation(tight).generate(MESSAGES, Options(max_new_tokens=100))

    assert answer.finish == "length" and len(answer.token_ids) == 4
    longer = Conversation(session).generate(MESSAGES, Options(max_new_tokens=4))
    assert answer == longer


def test_sampling_with_a_seed_repeats(session: Session) -> None:
    options = Options(8, Sampling(temperature=2.0, top_k=50, seed=7))
    first, second = (Conversation(session).generate(MESSAGES, options) for _ in range(2))

    assert first == second != Conversation(session).generate(MESSAGES, Options(8))


def test_repetition_penalty_reaches_the_prompt_and_the_answer(session: Session) -> None:
    options = Options(12, Sampling(repetition_penalty=1e9))
    answer = Conversation(session).generate(MESSAGES, options)

    assert len(set(answer.token_ids)) == 12
    assert not set(answer.token_ids) & set(session.inputs(MESSAGES).token_ids.tolist())


def test_no_tokens_wanted() -> None:
    with pytest.raises(RunError, match="max_new_tokens"):
        Options(max_new_tokens=0)


def test_a_stop_string_ends_the_answer_and_is_not_shown(session: Session) -> None:
    free = Conversation(session).generate(MESSAGES, Options(12))
    text = free.text
    stop = text[5:9]
    shown: list[str] = []

    answer = Conversation(session).generate(MESSAGES, Options(12, stop=("\0", stop)), shown.append)

    assert answer.text == text[: text.index(stop)] == "".join(shown) and answer.finish == "stop"
    assert answer.token_ids == free.token_ids[: len(answer.token_ids)]


def test_log_probabilities_are_of_the_model(session: Session) -> None:
    sampling = Sampling(temperature=3.0, seed=3, presence_penalty=1.0)
    answer = Conversation(session).generate(MESSAGES, Options(5, sampling, logprobs=2))

    logits = Conversation(session).teacher_forced(MESSAGES, answer.token_ids)
    assert answer.logprobs == tuple(map(LogProbabilities.of, logits, answer.token_ids, [2] * 5))
    assert Conversation(session).generate(MESSAGES, Options(5, sampling)).logprobs == ()


@pytest.mark.parametrize("engine", [False, True])
def test_log_probabilities_of_a_prompt(session: Session, engine: bool) -> None:
    messages = [{"role": "user", "content": "What is it? " * 30}]
    tokens = session.inputs(messages).token_ids
    conversation = Conversation(session)
    conversation.generate(messages, Options(1))  # leaves a prefix that could be reused
    options = Options(3, prompt_logprobs=1)
    if engine:
        with Engine(session) as running:
            running.submit(messages, Options(1)).result(60)
            answer = running.submit(messages, options).result(60)
    else:
        answer = conversation.generate(messages, options)

    logits = extend(session.new_context(), Inputs.plain(tokens), len(tokens))
    assert answer.prompt is not None and answer.prompt.tokens == len(tokens) > CHUNK
    assert answer.prompt.logprobs == tuple(
        LogProbabilities.of(row, int(token), 1)
        for row, token in zip(logits[:-1], tokens[1:], strict=True)
    )
    assert answer.token_ids == conversation.generate(messages, Options(3)).token_ids


def test_a_first_step_tells_how_much_was_cached(session: Session) -> None:
    conversation = Conversation(session)
    read = [conversation.generate(MESSAGES, Options(1)).prompt for _ in range(2)]

    length = len(session.inputs(MESSAGES))
    assert [each and (each.tokens, each.cached) for each in read] == [
        (length, 0),
        (length, length - 1),
    ]


@pytest.mark.parametrize(
    "wrong", [{"stop": ("a", "")}, {"logprobs": 101}, {"logprobs": -1}, {"prompt_logprobs": 101}]
)
def test_options_out_of_range(wrong: dict[str, Any]) -> None:
    with pytest.raises(RunError):
        Options(**wrong)


def test_a_bias_for_no_token(session: Session) -> None:
    with pytest.raises(RunError, match="bias for the token 320"):
        session.new_decoder(Options(sampling=Sampling(logit_bias={320: 1.0})), 1)
