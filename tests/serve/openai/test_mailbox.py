"""A mailbox: nothing is lost or reordered, and a loop is woken once for all that waits."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

from vlmforge.serve.openai.mailbox import Mailbox


def test_what_threads_tell_arrives_in_the_order_of_each() -> None:
    async def hear() -> list[tuple[int, int]]:
        queue: asyncio.Queue[tuple[int, int]] = asyncio.Queue()
        box = Mailbox.here()

        def tell(number: int) -> None:
            for count in range(500):
                box.put(queue, (number, count))

        threads = [threading.Thread(target=tell, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        return [await queue.get() for _ in range(2000)]

    heard = asyncio.run(asyncio.wait_for(hear(), 30))

    for number in range(4):
        assert [count for each, count in heard if each == number] == list(range(500))


def test_the_loop_is_woken_once(monkeypatch: pytest.MonkeyPatch) -> None:
    async def hear() -> int:
        loop, queue = asyncio.get_running_loop(), asyncio.Queue[int]()
        calls: list[Any] = []
        monkeypatch.setattr(loop, "call_soon_threadsafe", calls.append)
        for number in range(8):
            Mailbox.here().put(queue, number)
        for call in calls:
            call()
        assert queue.qsize() == 8
        return len(calls)

    assert asyncio.run(hear()) == 1


def test_a_loop_that_has_ended_hears_nothing() -> None:
    async def made() -> tuple[Mailbox, asyncio.Queue[int]]:
        return Mailbox.here(), asyncio.Queue()

    box, queue = asyncio.run(made())
    box.put(queue, 1)
