"""Generation: stops, limits, streaming."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from vlmforge.decode.generate import Options
from vlmforge.decode.sampling import Sampling
from vlmforge.errors import RunError
from vlmforge.run.conversation import Conversation
from vlmforge.run.session import Session

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
