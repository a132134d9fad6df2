"""Inference schemes: what each makes of the cores there are."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from tests.machine.decoder import decoder
from vlmforge.config import InferenceScheme
from vlmforge.decode.generate import Options
from vlmforge.errors import RunError
from vlmforge.machine.cores import cores
from vlmforge.machine.machine import IMPLEMENTATIONS
from vlmforge.machine.multi import MultiMachine
from vlmforge.machine.reference.machine import ReferenceMachine
from vlmforge.machine.scheme import open_scheme
from vlmforge.program.core import Program
from vlmforge.run.conversation import Conversation
from vlmforge.run.session import Session


class ThreadedMachine(ReferenceMachine):
    """Remembers its threads."""

    def __init__(self, program: Program, threads: int | None = None) -> None:
        super().__init__(program)
        self.threads = threads


@pytest.fixture(autouse=True)
def threaded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(IMPLEMENTATIONS, next(iter(IMPLEMENTATIONS)), ThreadedMachine)


@pytest.mark.parametrize(
    ("scheme", "available", "threads"),
    [
        ("single", 6, 1),
        ("global4", 6, 4),
        ("global4", 2, 2),
        ("global8", 6, 6),
        ("global8", 16, 8),
        ("all", 6, 6),
    ],
)
def test_threads_of_a_scheme(
    monkeypatch: pytest.MonkeyPatch, scheme: str, available: int, threads: int
) -> None:
    compiled_so = dataclasses.replace(decoder(), meta={"inference_scheme": scheme})
    monkeypatch.delenv("VLMFORGE_THREADS", raising=False)
    monkeypatch.setattr("vlmforge.machine.scheme.cores", lambda: available)
    asked, compiled = open_scheme(decoder(), InferenceScheme(scheme)), open_scheme(compiled_so)

    for machine in (asked, compiled):
        assert isinstance(machine, ThreadedMachine) and machine.threads == threads


def test_a_number_of_threads_outdoes_the_scheme_compiled_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("VLMFORGE_THREADS", "3")
    program = dataclasses.replace(decoder(), meta={"inference_scheme": "single"})
    compiled, asked = open_scheme(program), open_scheme(program, InferenceScheme.SINGLE)

    assert isinstance(compiled, ThreadedMachine) and compiled.threads == 3
    assert isinstance(asked, ThreadedMachine) and asked.threads == 1


def test_multi_gives_each_core_its_requests(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VLMFORGE_THREADS", "3")
    machine = open_scheme(decoder(), InferenceScheme.MULTI)

    assert isinstance(machine, MultiMachine) and machine.cores == 3
    assert isinstance(machine.machine, ThreadedMachine) and machine.machine.threads == 1


def test_a_program_that_names_no_scheme_takes_all_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("VLMFORGE_THREADS", raising=False)
    machine = open_scheme(decoder())

    assert isinstance(machine, ThreadedMachine) and machine.threads == cores() >= 1


def test_an_unknown_scheme(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("VLMFORGE_THREADS", raising=False)
    with pytest.raises(RunError, match="unknown inference scheme, 'global3'"):
        open_scheme(dataclasses.replace(decoder(), meta={"inference_scheme": "global3"}))


@pytest.mark.parametrize("text", ["0", "-1", "two", "1025", "1.5"])
def test_a_number_of_cores_out_of_range(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("VLMFORGE_THREADS", text)
    with pytest.raises(RunError, match="VLMFORGE_THREADS"):
        cores()


@pytest.mark.parametrize("scheme", list(InferenceScheme))
def test_every_scheme_gives_the_same_answer(tiny_package: Path, scheme: InferenceScheme) -> None:
    messages, options = [{"role": "user", "content": "What?"}], Options(max_new_tokens=4)
    answers = [
        Conversation(Session.open(tiny_package, scheme=each)).generate(messages, options)
        for each in (scheme, InferenceScheme.SINGLE)
    ]

    assert answers[0] == answers[1]
