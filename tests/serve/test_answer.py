"""Answer: steps arrive for any number of readers; it ends once."""

from __future__ import annotations

import gc
import threading
import time

import pytest

from vlmforge.decode.generate import Generation, Step
from vlmforge.errors import RunError
from vlmforge.serve.answer import Answer

FIRST, LAST = Step(5, "a", None), Step(6, "b", "stop")


def test_steps_and_the_whole() -> None:
    answer = Answer()
    answer.add(FIRST)
    assert not answer.done
    answer.add(LAST)

    assert list(answer) == list(answer) == [FIRST, LAST]
    assert answer.done and answer.result() == Generation((5, 6), "ab", "stop")


def test_readers_wait_for_steps() -> None:
    answer, seen = Answer(), [list[Step](), list[Step]()]
    readers = [threading.Thread(target=lambda to=to: to.extend(answer)) for to in seen]
    for reader in readers:
        reader.start()
    answer.add(FIRST)
    answer.add(LAST)
    for reader in readers:
        reader.join(10)

    assert seen == [[FIRST, LAST]] * 2


def test_cancelling_keeps_what_has_arrived_and_ends_the_reader() -> None:
    answer = Answer()
    steps = iter(answer)
    answer.add(FIRST)
    assert next(steps) == FIRST
    answer.cancel()
    answer.add(LAST)

    assert list(steps) == [] and answer.result() == Generation((5,), "a", "cancelled")


def test_cancelling_wakes_who_waits() -> None:
    answer = Answer()
    reader = threading.Thread(target=lambda: list(answer))
    reader.start()
    answer.cancel()
    reader.join(10)

    assert not reader.is_alive()


def test_an_answer_that_has_ended_stays_as_it_is() -> None:
    answer = Answer()
    answer.add(LAST)
    answer.cancel()
    answer.fail(RunError("too late"))

    assert answer.result() == Generation((6,), "b", "stop")


def test_a_failure_reaches_readers_behind_the_steps() -> None:
    answer = Answer()
    answer.add(FIRST)
    answer.fail(RunError("no more"))
    steps = iter(answer)

    assert next(steps) == FIRST
    for wait in (lambda: next(steps), answer.result):
        with pytest.raises(RunError, match="no more"):
            wait()


def test_waiting_has_an_end() -> None:
    with pytest.raises(TimeoutError, match="has not ended"):
        Answer().result(timeout=0.01)


def test_a_listener_hears_every_step_once() -> None:
    heard: list[Step] = []
    answer = Answer(heard.append)
    answer.add(FIRST)
    answer.add(LAST)
    answer.add(FIRST)

    assert heard == [FIRST, LAST]


def test_the_last_reader_that_leaves_ends_the_answer() -> None:
    answer = Answer()
    answer.add(FIRST)
    first, second, unused = iter(answer), iter(answer), iter(answer)
    assert next(first) == next(second) == FIRST
    del unused

    first.close()  # type: ignore[attr-defined]
    assert not answer.done
    del second
    gc.collect()

    assert answer.result(0) == Generation((5,), "a", "cancelled")


def test_who_waits_or_listens_is_not_left_alone() -> None:
    heard = Answer(lambda step: None)
    waited = Answer()
    waiter = threading.Thread(target=waited.result)
    waiter.start()
    while waited._readers == 0:
        time.sleep(0.001)
    for answer in (heard, waited):
        answer.add(FIRST)
        assert next(iter(answer)) == FIRST
        gc.collect()
        assert not answer.done
        answer.add(LAST)
    waiter.join(10)
    assert not waiter.is_alive()


def test_waiting_for_a_while_cancels_nothing() -> None:
    answer = Answer()
    with pytest.raises(TimeoutError):
        answer.result(0)
    assert not answer.done


@pytest.mark.parametrize("ends", ["step", "failure", "cancel"])
def test_the_end_is_told_once(ends: str) -> None:
    told: list[bool] = []
    answer = Answer(lambda step: None, on_end=lambda: told.append(answer.done))
    answer.add(Step(5, "a", None))
    if ends == "step":
        answer.add(Step(6, "b", "stop"))
    elif ends == "failure":
        answer.fail(RunError("it fails"))
    answer.cancel()
    answer.cancel()

    assert told == [True]
