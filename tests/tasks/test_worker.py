"""What a worker does with a task: it looks at its machine, then at the function, and keeps it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from vlmforge.errors import ClusterError
from vlmforge.tasks import worker
from vlmforge.tasks.worker import Alike, look, packed, work


def facts() -> dict[str, str]:
    return {"version of vlmforge": "1.0", "set of libraries": "numpy 2"}


ALIKE = Alike(facts, facts())
OTHER = Alike(facts, facts() | {"set of libraries": "numpy 3"})


@dataclass
class Counting:
    """Adds how often it was asked, which a copy does not know."""

    asked: int = 0

    def __call__(self, item: int) -> int:
        self.asked += 1
        return item + self.asked


@pytest.fixture(autouse=True)
def idle(monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker that has not worked yet."""
    monkeypatch.setattr(worker, "_latest", {})


def test_the_latest_function_alone_is_kept() -> None:
    sent = packed(Counting())
    assert [work(ALIKE, "a", sent, 10) for _ in range(2)] == [11, 12]
    assert work(ALIKE, "b", sent, 10) == 11
    assert list(worker._latest) == ["b"]
    assert work(ALIKE, "a", sent, 10) == 11


def test_nothing_is_opened_on_a_machine_that_differs() -> None:
    broken = np.frombuffer(b"no pickle", np.uint8)
    for ask in (lambda: work(OTHER, "a", broken, 1), lambda: look(OTHER, facts)):
        with pytest.raises(ClusterError, match="another set of libraries: numpy 2, not numpy 3"):
            ask()
    assert look(ALIKE, facts) == facts()
