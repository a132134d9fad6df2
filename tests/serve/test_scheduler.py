"""Scheduler: whatever runs beside it, a request gets the tokens it gets alone."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.dialogues import CountingMachine, counting, picture, user, video
from vlmforge.decode.generate import Generation, Options
from vlmforge.decode.prefix import PrefixCache
from vlmforge.decode.reading import CHUNK
from vlmforge.decode.sampling import Sampling
from vlmforge.errors import RunError
from vlmforge.machine.machine import Request
from vlmforge.run.conversation import Conversation
from vlmforge.run.session import Session
from vlmforge.serve.answer import Answer
from vlmforge.serve.scheduler import Limits, Scheduler
from vlmforge.serve.task import Task

MESSAGES = [
    [user("What?")],
    [user("Where is the star? " * 4)],
    [user(picture(0), "Describe the image.")],
    [user(picture(0), "Describe it " * 5)],
    [user("x", picture(1), picture(0))],
]
LONG = [user("word " * 90)]
SAMPLING = Sampling(temperature=1.5, repetition_penalty=1.2, seed=3)


def scheduler(session: Session, prefixes: int = 500, **limits: Any) -> Scheduler:
    chosen = Limits(**{"running": 3, "tokens": 2000, "prefill": 16, **limits})
    return Scheduler(session, chosen, PrefixCache(session.text, prefixes))


def task(session: Session, messages: Sequence[Any], options: Options | None = None) -> Task:
    prepared = session.prepare(messages)
    return Task(session, *prepared, options or Options(max_new_tokens=6), Answer())


def finish(engine: Scheduler) -> None:
    for _ in range(1000):
        if not engine.tasks:
            return
        engine.step()
    raise AssertionError("the scheduler does not end")


@pytest.fixture(scope="module")
def alone(session: Session) -> dict[tuple[int, int, bool], Generation]:
    """The answer to every message, of every length, greedy and not."""
    return {
        (index, tokens, drawn): Conversation(session).generate(
            messages, Options(tokens, SAMPLING if drawn else Sampling())
        )
        for index, messages in enumerate(MESSAGES)
        for tokens in (1, 3, 7)
        for drawn in (False, True)
    }


ARRIVAL = st.tuples(
    st.integers(0, 6),  # steps after the one before
    st.integers(0, len(MESSAGES) - 1),
    st.sampled_from([1, 3, 7]),
    st.booleans(),
    st.none() | st.integers(0, 5),  # steps until it is cancelled
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30)
@given(
    arrivals=st.lists(ARRIVAL, min_size=1, max_size=7),
    running=st.integers(1, 4),
    tokens=st.integers(190, 400),
    prefill=st.integers(1, 40),
    prefixes=st.sampled_from([0, 30, 500]),
)
def test_any_arrival_gives_the_same_tokens(
    tiny_package: Any, session: Session, alone: dict[Any, Generation], arrivals: list[Any],
    running: int, tokens: int, prefill: int, prefixes: int,
) -> None:  # fmt: skip
    engine = scheduler(session, prefixes, running=running, tokens=tokens, prefill=prefill)
    begun: list[tuple[Any, Task]] = []
    for wait, index, length, drawn, cancelled in arrivals:
        for _ in range(wait):
            engine.step()
        options = Options(length, SAMPLING if drawn else Sampling())
        begun.append(((index, length, drawn), task(session, MESSAGES[index], options)))
        engine.waiting.append(begun[-1][1])
        if cancelled is not None:
            for _ in range(cancelled):
                engine.step()
            begun[-1][1].answer.cancel()
    finish(engine)

    for key, each in begun:
        result, expected = each.answer.result(0), alone[key]
        count = len(result.token_ids)
        assert result.finish == "cancelled" or result == expected
        assert result.token_ids == expected.token_ids[:count]


def test_decodes_run_as_one_batch_beside_a_prefill(session: Session) -> None:
    counted = counting(session)
    engine = scheduler(counted, running=4, prefill=16)
    engine.waiting.extend(task(counted, messages, Options(30)) for messages in MESSAGES[2:4])
    while not all(each.decoding for each in engine.tasks):
        engine.step()
    engine.waiting.append(task(counted, LONG))
    counted.text.rows.clear()
    counted.text.batches.clear()
    engine.step()
    engine.step()

    assert counted.text.rows == [1, 1, 16, 1, 1, 16] and counted.text.batches == [3, 3]


def test_a_long_prefill_does_not_hold_up_decodes(session: Session) -> None:
    engine = scheduler(session, prefill=8)
    quick, long = task(session, MESSAGES[0], Options(10)), task(session, LONG)
    engine.waiting.append(quick)
    engine.step()
    engine.waiting.append(long)
    for _ in range(9):
        engine.step()

    assert quick.answer.done and not long.decoding and long.read > 0


def test_prompts_are_read_in_whole_chunks_while_nothing_is_decoded(session: Session) -> None:
    counted = counting(session)
    engine = scheduler(counted, prefill=8)
    engine.waiting.append(task(counted, LONG))
    engine.step()

    assert counted.text.rows == [CHUNK]


def test_the_youngest_gives_way_and_comes_back(session: Session) -> None:
    prompts = [task(session, MESSAGES[2], Options(30)) for _ in range(3)]
    length = prompts[0].length
    limit = 3 * length + 20
    engine = scheduler(session, prefixes=0, tokens=limit)
    engine.waiting.extend(prompts)
    most, preempted = 0, False
    while engine.tasks:
        engine.step()
        most = max(most, sum(each.read for each in engine.running))
        preempted |= any(each.length > length for each in engine.waiting)
        order = [prompts.index(each) for each in engine.tasks]
        assert order == sorted(order)

    assert preempted and most <= limit
    expected = Conversation(session).generate(MESSAGES[2], Options(30))
    assert [each.answer.result(0) for each in prompts] == [expected] * 3


def test_no_more_run_than_may(session: Session) -> None:
    engine = scheduler(session, running=2)
    engine.waiting.extend(task(session, messages) for messages in MESSAGES)
    while engine.tasks:
        engine.step()
        assert len(engine.running) <= 2


def test_the_same_beginning_is_read_once(session: Session) -> None:
    counted = counting(session)
    prompts = [task(counted, [user(picture(0), text)]) for text in ("What?", "Where?", "Why?")]
    engine = scheduler(counted)
    engine.waiting.extend(prompts)
    finish(engine)

    assert counted.vision is not None and len(counted.vision.machine.rows) == 1
    prompt_rows = sum(counted.text.rows) - 3 * 5  # five tokens of each answer are read
    assert prompt_rows < prompts[0].length + 2 * 20


class FailingMachine(CountingMachine):
    """Cannot read one token, alone or in a batch."""

    def __init__(self, machine: Any, session: Session, token: int) -> None:
        super().__init__(machine)
        self.poison = session.package.embeddings[token]

    def run_batch(self, requests: Sequence[Request]) -> list[dict[str, np.ndarray]]:
        for request in requests:
            embeds = request.inputs["inputs_embeds"][0]
            if (embeds == self.poison).all(-1).any():
                raise RunError("poison")
        return super().run_batch(requests)


def test_a_failure_stays_with_its_request(
    session: Session, alone: Mapping[tuple[int, int, bool], Generation]
) -> None:
    poison = session.prompts.tokenizer.encode("Q").ids[0]
    failing = FailingMachine(session.text, session, poison)
    broken = dataclasses.replace(session, text=failing)
    good = [task(broken, MESSAGES[index], Options(7)) for index in (0, 2)]
    bad = task(broken, [user("Q")])
    engine = scheduler(broken)
    engine.waiting.extend([good[0], bad, good[1]])
    finish(engine)

    with pytest.raises(RunError, match="poison"):
        bad.answer.result(0)
    assert [each.answer.result(0) for each in good] == [alone[0, 7, False], alone[2, 7, False]]


def test_a_failing_image_and_a_failing_listener(
    session: Session, monkeypatch: pytest.MonkeyPatch, alone: dict[Any, Generation]
) -> None:
    blind = dataclasses.replace(session, vision=None)

    def refuse(step: object) -> None:
        raise ValueError("not so")

    seeing, good = task(blind, MESSAGES[2]), task(blind, MESSAGES[1], Options(7))
    heard = Task(blind, *blind.prepare(MESSAGES[0]), Options(7), Answer(refuse))
    engine = scheduler(blind)
    engine.waiting.extend([seeing, heard, good])
    finish(engine)

    with pytest.raises(RunError, match="no vision program"):
        seeing.answer.result(0)
    with pytest.raises(ValueError, match="not so"):
        heard.answer.result(0)
    assert good.answer.result(0) == alone[1, 7, False]


def test_a_step_encodes_one_slice(dynamic_session: Session) -> None:
    counted = counting(dynamic_session)
    assert counted.vision is not None
    engine = scheduler(counted)
    seeing = task(counted, [user(video(0, 7), picture(1), "?")])
    engine.waiting.extend([seeing, task(counted, MESSAGES[0], Options(20))])
    for step in range(1, 6):
        engine.step()
        assert len(counted.vision.machine.rows) == step and bool(seeing.unseen) == (step < 5)
    finish(engine)

    again = task(counted, [user(video(0, 7), "!")])
    engine.waiting.append(again)
    finish(engine)

    assert len(counted.vision.machine.rows) == 5
    for each, *parts in ((seeing, video(0, 7), picture(1), "?"), (again, video(0, 7), "!")):
        alone = Conversation(dynamic_session).generate([user(*parts)], Options(max_new_tokens=6))
        assert each.answer.result(0) == alone


@pytest.mark.parametrize("limit", [60, 90])
def test_preempted_videos_go_on(dynamic_package: Path, limit: int) -> None:
    session = Session.open(dynamic_package, max_length=60)
    talks = [[user(video(n, 5, (60, 60)), "?")] for n in range(3)]
    tasks = [task(session, talk) for talk in talks]
    engine = scheduler(session, prefixes=0, tokens=limit)
    engine.waiting.extend(tasks)
    finish(engine)

    for each, talk in zip(tasks, talks, strict=True):
        options = Options(max_new_tokens=6)
        assert each.answer.result(0) == Conversation(session).generate(talk, options)


@pytest.mark.parametrize(
    ("limits", "message"),
    [
        ({"running": 0}, "running is 0"),
        ({"prefill": 0}, "prefill is 0"),
        ({"waiting": -1}, "waiting is -1"),
        ({"tokens": 511}, "may hold 511 tokens"),
    ],
)
def test_limits_out_of_range(limits: dict[str, int], message: str) -> None:
    with pytest.raises(RunError, match=message):
        Limits(**{"running": 3, "tokens": 512, "prefill": 8, **limits}).check(512)
