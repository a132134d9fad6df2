"""Memory is looked at again and again, and the most of it is remembered."""

from __future__ import annotations

import sys
import time

import numpy as np
import pytest

from vlmforge.bench import watch as module
from vlmforge.bench.watch import Watch


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells what is of no file")
def test_what_came_and_went_was_seen() -> None:
    watch = Watch()
    with watch.watching():
        before = watch.memory
        held = np.ones(80_000_000, np.uint8)
        time.sleep(4 * module.PERIOD)
        del held
        watch.look()
        after = watch.memory
    assert before is not None and after is not None
    assert after.peak - before.now > 70_000_000 > after.now - before.now


def test_a_system_that_tells_nothing_is_not_asked_for_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "private_resident", lambda: None)
    watch = Watch()
    with watch.watching():
        watch.look()
    assert watch.memory is None
