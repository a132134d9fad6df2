"""A lock lets one thread in, and is free in a forked process."""

from __future__ import annotations

import os
import signal
import threading

from vlmforge.decode.lock import Lock


def test_one_thread_at_a_time() -> None:
    lock, inside, most = Lock(), [0], [0]

    def work() -> None:
        for _ in range(500):
            with lock:
                inside[0] += 1
                most[0] = max(most[0], inside[0])
                inside[0] -= 1

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [1]


def test_a_forked_process_finds_it_free() -> None:
    lock = Lock()
    with lock:
        child = os.fork()
        if child == 0:
            signal.alarm(10)
            with lock:
                os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
