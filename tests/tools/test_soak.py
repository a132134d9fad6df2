"""The soak test finds what it looks for, and a small part of it finds nothing."""

from __future__ import annotations

import json
import os
import random
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from soak import worker
from soak.__main__ import keep, kinds, report, tell
from soak.damage import damaged_bytes, damaged_document, damaged_json
from soak.kind import Case, Kind, generator
from soak.worker import Failure, Tally, attempt, watch
from vlmforge.errors import FormatError

SOON = 3600.0


class Fake:
    """Does the same with every input, whose only file is its number."""

    name, share = "a fake", 1.0

    def __init__(self, act: Callable[..., object]) -> None:
        self.act = act

    def prepare(self, directory: Path) -> None: ...

    def make(self, rng: random.Random) -> Case:
        return {"number": str(rng.getrandbits(32)).encode()}

    def attempt(self, case: Case, directory: Path) -> None:
        assert list(directory.iterdir()) == []
        (directory / "number").write_bytes(case["number"])
        self.act(int(case["number"]))


def watched(act: Callable[[int], object], count: int = 6, jobs: int = 1) -> Tally:
    return watch(Fake(act), 0, iter(range(count)), time.monotonic() + SOON, jobs)


def refuse(number: int) -> None:
    raise FormatError("no")


def test_what_is_read_and_refused_is_counted() -> None:
    assert watched(lambda number: None, 40, jobs=2).outcomes == {"read": 40}
    assert watched(refuse).outcomes == {"refused": 6}


def test_an_error_of_another_kind_is_a_failure_of_its_line() -> None:
    tally = watched(lambda number: 1 // 0)
    assert tally.outcomes == {"failed": 6}
    assert {failure.number for failure in tally.failures} == set(range(6))
    assert len({failure.what for failure in tally.failures}) == 1
    assert tally.failures[0].what.startswith("ZeroDivisionError at test_soak.py:")
    assert "ZeroDivisionError" in tally.failures[0].details


def crash() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def leave() -> None:
    os._exit(3)


def hang() -> None:
    time.sleep(60)


def take_memory() -> None:
    taken = b"x" * (90 << 20)
    time.sleep(60)
    del taken


class Panic(BaseException):
    """As libraries of Rust raise it."""


def test_what_is_no_exception_is_a_failure_as_well() -> None:
    def panic(number: int) -> None:
        raise Panic

    tally = watched(panic)
    assert tally.outcomes == {"failed": 6}
    assert tally.failures[0].what.startswith("Panic at test_soak.py:")


@pytest.mark.parametrize(
    ("act", "seconds", "what"),
    [
        (crash, 60, "dies of SIGKILL"),
        (leave, 60, "exits with 3"),
        (hang, 0.3, "hangs above 0 seconds"),
        (take_memory, 60, "takes more than 60 MiB"),
    ],
)
def test_an_input_that_ends_the_process_is_named(
    monkeypatch: pytest.MonkeyPatch, act: Callable[[], None], seconds: float, what: str
) -> None:
    monkeypatch.setattr(worker, "SECONDS", seconds)
    monkeypatch.setattr(worker, "MEMORY", 60 << 20)
    worst = int(Fake(hang).make(generator(0, "a fake", 2))["number"])

    def one(number: int) -> None:
        if number == worst:
            act()

    tally = watched(one, 4)
    assert tally.outcomes == {"read": 3, "failed": 1}
    (failure,) = tally.failures
    assert (failure.number, failure.what) == (2, what)


def test_time_ends_it() -> None:
    tally = watch(Fake(lambda number: None), 0, iter(range(10**9)), time.monotonic() + 0.3)
    assert 0 < tally.outcomes["read"] < 10**6


def test_an_input_follows_from_its_number(tmp_path: Path) -> None:
    for kind in kinds():
        (tmp_path / kind.name).mkdir()
        kind.prepare(tmp_path / kind.name)
        cases = [[kind.make(generator(1, kind.name, n)) for n in range(8)] for _ in range(2)]
        assert cases[0] == cases[1], kind.name
        assert len({tuple(sorted(case.items())) for case in cases[0]}) > 4, kind.name


def test_failures_are_told_by_cause_with_their_inputs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kind: Kind = Fake(lambda number: None)
    failures = [Failure(kind.name, n, "a cause" if n < 5 else "another", "why") for n in range(6)]
    tally = Tally(failures=failures)
    assert tell([kind], [tally], 7, tmp_path) == 2
    told = capsys.readouterr().out
    assert "a fake: 5 x a cause" in told
    assert "--seed 7 --only 'a fake' --case 0" in told
    folder = keep(kind, failures[0], 7, tmp_path)
    assert (folder / "number").read_bytes() == kind.make(generator(7, kind.name, 0))["number"]
    assert "a cause\nwhy" in (folder / "failure.txt").read_text()
    tally.outcomes.update(read=2, failed=6)
    assert report(kind, tally).split() == ["a", "fake", "8", "6", "failed,", "2", "read"]


def test_damage_is_of_all_sorts() -> None:
    rng = random.Random(0)
    assert len({damaged_bytes(rng, b"some bytes to damage") for _ in range(100)}) > 90
    document = {"a": [1, 2.5, "x", None], "b": {"c": True}}
    assert len({repr(damaged_json(rng, document)) for _ in range(200)}) > 100
    texts = [damaged_document(rng, document) for _ in range(300)]
    parsed = 0
    for text in texts:
        try:
            parsed += json.loads(text) != document
        except (ValueError, RecursionError):
            continue
    assert 100 < parsed < 290


@pytest.mark.parametrize(
    ("name", "count"),
    [
        ("programs", 60),
        ("rotations", 60),
        ("package settings", 40),
        ("checkpoint settings", 12),
    ],
)
def test_a_small_part(tmp_path: Path, name: str, count: int) -> None:
    """In this process, so that a failure shows its traceback."""
    (kind,) = (kind for kind in kinds() if kind.name == name)
    kind.prepare(tmp_path)
    found = [attempt(kind, 0, number, tmp_path / "case") for number in range(count)]
    assert not [each for each in found if isinstance(each, Failure)]
    assert {"read", "refused"} == set(found)
