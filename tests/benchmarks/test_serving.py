"""The client that servers are measured with, and what becomes of its figures."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from benchmarks.serving.client import Heard, ask
from benchmarks.serving.compare import table
from benchmarks.serving.load import judged
from tests.serve.openai.conftest import client_of, running
from vlmforge.run.session import Session
from vlmforge.serve.openai.server import Serving

ASKED = {
    "messages": [{"role": "user", "content": "What is there?"}],
    "max_tokens": 20,
    "temperature": 0,
}


@pytest.fixture(scope="module")
def served(dynamic_session: Session) -> Iterator[str]:
    with running(dynamic_session, Serving()) as address:
        yield address


def test_the_client_hears_what_openais_hears(served: str) -> None:
    expected = client_of(served).chat.completions.create(model="", **ASKED).choices[0]  # type: ignore[call-overload]

    heard = asyncio.run(ask(served, ASKED))

    assert (heard.text, heard.finish, heard.tokens) == (expected.message.content, "length", 20)
    assert heard.times == sorted(heard.times) and heard.error is None


def test_it_leaves_and_is_refused(served: str) -> None:
    left = asyncio.run(ask(served, ASKED, leave_after=2))
    refused = asyncio.run(ask(served, {**ASKED, "temperature": 9}))

    assert len(left.times) == 2 and left.finish is None
    assert refused.status == 400 and "temperature" in str(refused.error)


def test_answers_are_judged() -> None:
    alone = [Heard(200, "ab", "stop", [0.1, 0.2], 2)]
    other = Heard(200, "ax", "stop", [0.1, 0.3, 0.4], 3)
    failed = Heard(429, error="too many")

    found = judged([(0, alone[0]), (0, other), (0, failed)], alone)

    assert (found["requests"], found["finished"], found["different"]) == (3, 2, 1)
    assert found["errors"] == ["too many"] and found["tokens"] == 5
    assert found["between_median"] == pytest.approx(0.1)


def test_ratios_are_within_rounds() -> None:
    rounds = [
        {"a": {"decode": 2.0}, "b": {"decode": 1.0}},
        {"a": {"decode": 9.0}, "b": {"decode": 3.0}},
    ]

    assert "| decode, a to b | 2.50 (2.00–3.00) |" in table(rounds)
