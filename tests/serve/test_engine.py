"""Engine: requests from several threads, streams, cancellation and a clean end."""

from __future__ import annotations

import dataclasses
import gc
import os
import subprocess
import sys
import threading
import weakref
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.dialogues import TALKS, CountingMachine, picture, user
from vlmforge.config import InferenceScheme
from vlmforge.decode.generate import Generation, Options, Step
from vlmforge.decode.grammar import Grammar
from vlmforge.decode.sampling import Sampling
from vlmforge.errors import RunError
from vlmforge.run.conversation import Conversation
from vlmforge.run.session import Session
from vlmforge.serve.engine import Engine

SHORT = Options(max_new_tokens=5)
QUESTIONS = [[user(picture(n % 2), f"{n} What?")] if n % 3 else [user(f"{n}?")] for n in range(9)]


class GatedMachine(CountingMachine):
    """Runs a batch when it is allowed to."""

    def __init__(self, machine: Any) -> None:
        super().__init__(machine)
        self.allowed = threading.Semaphore(0)

    def run_batch(self, requests: Any) -> Any:
        assert self.allowed.acquire(timeout=30)
        return super().run_batch(requests)

    def open(self) -> None:
        self.allowed.release(10_000)


@pytest.fixture
def gated(session: Session) -> Session:
    return dataclasses.replace(session, text=GatedMachine(session.text))


@pytest.fixture(scope="module")
def expected(session: Session) -> list[Generation]:
    return [Conversation(session).generate(messages, SHORT) for messages in QUESTIONS]


@pytest.fixture
def engine(session: Session) -> Iterator[Engine]:
    with Engine(session, max_running=3) as engine:
        yield engine


def test_many_threads_ask(engine: Engine, expected: list[Generation]) -> None:
    with ThreadPoolExecutor(5) as pool:
        answers = list(pool.map(lambda each: engine.submit(each, SHORT), QUESTIONS))
        results = list(pool.map(lambda each: each.result(30), answers))

    assert results == expected


def test_a_stream_equals_that_of_a_conversation(engine: Engine, session: Session) -> None:
    heard: list[Step] = []
    answer = engine.submit(QUESTIONS[1], SHORT, heard.append)

    assert list(answer) == list(Conversation(session).stream(QUESTIONS[1], SHORT)) == heard


def test_images_of_any_size_and_videos(dynamic_session: Session) -> None:
    expected = [Conversation(dynamic_session).generate(talk, SHORT) for talk in TALKS.values()]

    with Engine(dynamic_session, max_running=4, prefill_tokens=20) as engine:
        assert list(engine.map(TALKS.values(), SHORT)) == expected
        assert list(engine.map(reversed(TALKS.values()), SHORT)) == expected[::-1]


def test_map_keeps_the_order(engine: Engine, expected: list[Generation]) -> None:
    assert list(engine.map(QUESTIONS, SHORT)) == expected


def test_map_asks_only_some_ahead_and_cancels_them(session: Session) -> None:
    asked = []

    def questions() -> Iterator[Any]:
        for messages in QUESTIONS:
            asked.append(messages)
            yield messages

    with Engine(session, max_running=1) as engine:
        answers = engine.map(questions(), Options(max_new_tokens=400))
        next(answers)
        assert len(asked) == 2
        answers.close()


@pytest.mark.parametrize(("compiled", "running"), [(None, 8), (2, 2), (1, 1)])
def test_a_package_says_how_many_run_side_by_side(
    session: Session, compiled: int | None, running: int
) -> None:
    program, asked = session.package.text, list[int]()
    batch = {} if compiled is None else {"batch_size": compiled}
    text = dataclasses.replace(program, meta={**program.meta, **batch})
    machine = CountingMachine(session.text)
    package = dataclasses.replace(session.package, text=text)

    def questions() -> Iterator[Any]:
        for number in range(100):
            asked.append(number)
            yield [user(f"{number}?")]

    with Engine(dataclasses.replace(session, text=machine, package=package)) as engine:
        answers = engine.map(questions(), Options(max_new_tokens=40))
        next(answers)
        assert len(asked) == 2 * running
        answers.close()
    assert max(machine.batches) <= running


def test_a_cancelled_answer_makes_room(gated: Session) -> None:
    machine: Any = gated.text
    with Engine(gated, max_running=1, max_waiting=1) as engine:
        first = engine.submit(QUESTIONS[0], Options(max_new_tokens=400))
        machine.allowed.release(3)
        steps = iter(first)
        for _ in range(3):
            next(steps)
        second = engine.submit(QUESTIONS[3], SHORT)
        with pytest.raises(RunError, match="1 requests are waiting"):
            engine.submit(QUESTIONS[3], SHORT)
        first.cancel()
        machine.open()

        assert second.result(30) == Conversation(gated).generate(QUESTIONS[3], SHORT)
        assert first.result().finish == "cancelled" and len(first.result().token_ids) == 3


def test_mistakes_show_where_they_are_made(engine: Engine, tmp_path: Path) -> None:
    nothing = {"type": "image", "image": tmp_path / "none.png"}
    for messages, message in (
        ([user(nothing)], "none.png"),
        ([user("word " * 600)], "maximum length is 512"),
        ([{"role": "user", "content": 3}], "known form"),
    ):
        with pytest.raises(RunError, match=message):
            engine.submit(messages)


def test_closing_waits_for_answers(session: Session, expected: list[Generation]) -> None:
    engine = Engine(session)
    answers = [engine.submit(messages, SHORT) for messages in QUESTIONS]
    engine.close()
    engine.close()

    assert [answer.result(0) for answer in answers] == expected
    with pytest.raises(RunError, match="closed"):
        engine.submit(QUESTIONS[0])


def test_an_exception_cancels_answers(gated: Session) -> None:
    machine: Any = gated.text
    with pytest.raises(KeyError), Engine(gated, max_running=1) as engine:
        answers = [engine.submit(messages, SHORT) for messages in QUESTIONS]
        machine.open()
        answers[0].result(30)
        machine.allowed = threading.Semaphore(0)
        machine.allowed.release(2)
        raise KeyError

    assert answers[-1].result(0).finish == "cancelled"


def test_an_engine_lives_as_long_as_its_answers(session: Session) -> None:
    answer = Engine(session).submit(QUESTIONS[0], SHORT)
    gc.collect()
    assert answer.result(30).finish != "cancelled"

    engine = weakref.ref(answer._engine)
    del answer
    gc.collect()
    assert engine() is None


def test_a_fault_of_the_engine_reaches_every_reader(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fault(scheduler: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("vlmforge.serve.scheduler.Scheduler.step", fault)
    engine = Engine(session)
    answer = engine.submit(QUESTIONS[0])

    with pytest.raises(ZeroDivisionError):
        answer.result(30)
    with pytest.raises(RunError, match="closed"):
        engine.submit(QUESTIONS[0])


def test_prefixes_are_kept_for_later_requests(gated: Session) -> None:
    machine: Any = gated.text
    machine.open()
    with Engine(gated) as engine:
        engine.submit([user(picture(0), "What?")], SHORT).result(30)
        machine.rows.clear()
        engine.submit([user(picture(0), "Where?")], SHORT).result(30)

    assert machine.rows[0] < 20


@pytest.mark.parametrize("scheme", ["all", "multi"])
def test_conversations_beside_the_engine(
    tiny_package: Path, expected: list[Generation], scheme: str
) -> None:
    session = Session.open(tiny_package, scheme=InferenceScheme(scheme))
    with Engine(session, prefix_tokens=200) as engine, ThreadPoolExecutor(3) as pool:
        answers = [engine.submit(messages, SHORT) for messages in QUESTIONS]
        beside = pool.map(
            lambda each: Conversation(session, engine.prefixes).generate(each, SHORT), QUESTIONS
        )

        assert list(beside) == [answer.result(30) for answer in answers] == expected


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit, GeneratorExit, KeyError])
def test_whatever_a_listener_raises_ends_its_answer_alone(
    session: Session, expected: list[Generation], kind: type[BaseException]
) -> None:
    def listen(step: Step) -> None:
        raise kind("stop")

    with Engine(session, max_running=3) as engine:
        failing = engine.submit(QUESTIONS[1], SHORT, listen)
        beside = [engine.submit(messages, SHORT) for messages in QUESTIONS]

        assert [answer.result(60) for answer in beside] == expected
        with pytest.raises(kind if issubclass(kind, Exception) else RunError) as raised:
            failing.result(60)
        assert kind is KeyError or isinstance(raised.value.__cause__, kind)
        assert engine.submit(QUESTIONS[0], SHORT).result(60) == expected[0]


def test_a_client_that_vanishes_makes_room(gated: Session) -> None:
    machine: Any = gated.text
    with Engine(gated, max_running=1) as engine:
        steps = iter(engine.submit(QUESTIONS[0], Options(max_new_tokens=400)))
        machine.allowed.release(2)
        next(steps)
        second = engine.submit(QUESTIONS[3], SHORT)
        del steps
        gc.collect()
        machine.open()

        assert second.result(60) == Conversation(gated).generate(QUESTIONS[3], SHORT)
    assert sum(machine.batches) < 50


FORK = """
import os, signal, sys
from tests.dialogues import user
from vlmforge.config import InferenceScheme
from vlmforge.errors import RunError
from vlmforge.run.conversation import Conversation
from vlmforge.serve.engine import Engine
from vlmforge.decode.generate import Options
from vlmforge.run.session import Session

session = Session.open(sys.argv[1], scheme=sys.argv[2])
messages, options = [user("What?")], Options(max_new_tokens=5)
engine = Engine(session)
before = engine.submit(messages, options).result(30)
running = [engine.submit(messages, Options(max_new_tokens=300)) for _ in range(3)]
iter_running = iter(running[0])
next(iter_running)
child = os.fork()
if child == 0:
    signal.alarm(60)
    for use in (
        lambda: engine.submit(messages),
        lambda: running[1].result(),
        lambda: list(running[2]),
    ):
        try:
            use()
        except RunError as error:
            assert "forked" in str(error)
        else:
            os._exit(3)
    running[1].cancel()
    del iter_running, use
    engine.close()
    del engine
    assert Conversation(session).generate(messages, options) == before
    with Engine(session) as own:
        assert [own.submit(messages, options).result(30) for _ in range(3)] == [before] * 3
    sys.exit(0)
status = os.waitpid(child, 0)[1]
assert status == 0, status
assert engine.submit(messages, options).result(30) == before
for answer in running:
    answer.cancel()
engine.close()
"""


@pytest.mark.parametrize("scheme", ["all", "multi"])
def test_a_forked_process_has_no_engine_and_does_not_hang(tiny_package: Path, scheme: str) -> None:
    command = [sys.executable, "-c", FORK, str(tiny_package), scheme]

    done = subprocess.run(command, capture_output=True, text=True, timeout=120)

    assert done.returncode == 0, done.stderr


THREADS = """
import gc, sys, threading
from tests.dialogues import user
from vlmforge.run.conversation import Conversation
from vlmforge.serve.engine import Engine
from vlmforge.decode.generate import Options
from vlmforge.run.session import Session

def resident():
    gc.collect()
    return int(open("/proc/self/statm").read().split()[1]) * 4

session = Session.open(sys.argv[1], scheme=sys.argv[2])
engine = Engine(session, max_running=2, prefix_tokens=0)

def work(number):
    messages, options = [user(f"{number} What?")], Options(max_new_tokens=2)
    Conversation(session).generate(messages, options)
    engine.submit(messages, options).result(60)

def many(first, last):
    for start in range(first, last, 4):
        threads = [threading.Thread(target=work, args=(n,)) for n in range(start, start + 4)]
        for thread in threads: thread.start()
        for thread in threads: thread.join()

many(0, 60)
before = resident()
many(60, 360)
print(resident() - before)
engine.close()
"""


@pytest.mark.parametrize("scheme", ["all", "multi"])
def test_threads_that_come_and_go_leave_no_memory(tiny_package: Path, scheme: str) -> None:
    command = [sys.executable, "-c", THREADS, str(tiny_package), scheme]

    done = subprocess.run(command, capture_output=True, text=True, timeout=300)

    assert done.returncode == 0, done.stderr
    assert int(done.stdout) < 8 * 1024


BURST = """
import ctypes, sys, threading
import numpy as np
from vlmforge.run.session import Session

def resident():
    return int(open("/proc/self/statm").read().split()[1]) * 4

machine = Session.open(sys.argv[1]).vision.machine
inputs = {machine.program.inputs[0]: np.zeros((896, 56, 6), np.float32)}

def work(gate):
    gate.wait()
    machine.run(inputs)

def burst(count):
    gate = threading.Barrier(count)
    threads = [threading.Thread(target=work, args=(gate,)) for _ in range(count)]
    for thread in threads: thread.start()
    for thread in threads: thread.join()

burst(1)
before = resident()
burst(64)
burst(64)
trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
if trim is not None:  # what is free but lies between what is not
    trim(0)
print(resident() - before)
"""


@pytest.mark.skipif((os.cpu_count() or 1) > 16, reason="as many workspaces are kept as processors")
def test_a_moment_of_many_callers_leaves_little_memory(tiny_package: Path) -> None:
    command = [sys.executable, "-c", BURST, str(tiny_package)]
    environment = {**os.environ, "MALLOC_ARENA_MAX": "1"}

    done = subprocess.run(command, env=environment, capture_output=True, text=True)

    assert done.returncode == 0, done.stderr
    assert int(done.stdout) < 110 * 1024


def test_free_and_constrained_answers_in_one_batch(session: Session) -> None:
    options = [
        Options(30),
        Options(30, grammar=Grammar.regex("[a-f]{9}")),
        Options(30, Sampling(temperature=2.0, seed=1), grammar=Grammar.json_schema({"enum": [17]})),
        Options(30, stop=("e",), logprobs=1),
    ]
    expected = [Conversation(session).generate(QUESTIONS[0], each) for each in options]

    with Engine(session, max_running=4) as engine:
        answers = [engine.submit(QUESTIONS[0], each) for each in options]
        assert [answer.result(30) for answer in answers] == expected
    assert len(expected[1].text) == 9 and expected[2].text == "17"


def test_a_grammar_that_cannot_be_used_is_refused_at_once(engine: Engine) -> None:
    with pytest.raises(RunError, match="grammar"):
        engine.submit(QUESTIONS[0], Options(grammar=Grammar.regex("((")))
