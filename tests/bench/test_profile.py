"""Profiles: every instruction is in one kind, whoever measures."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np

from vlmforge.bench.profile import kind_of, profile
from vlmforge.machine.reference.machine import ReferenceMachine
from vlmforge.run.session import Session

SIZES = {"seq": 4, "logits": 1}


def feeds(session: Session) -> dict[str, np.ndarray]:
    positions = np.ascontiguousarray(np.broadcast_to(np.arange(4), (3, 4)))
    rows = session.package.embeddings[None, :4]
    return {"inputs_embeds": rows, "position_ids": positions, "logits_index": np.array([3])}


def test_kinds_hold_every_instruction_and_all_work(session: Session) -> None:
    machine = ReferenceMachine(session.text.program)
    shares = profile(machine, feeds(session), SIZES, machine.new_cache(8))
    assert sum(share.instructions for share in shares) == len(machine.program.instructions)
    assert [share.seconds for share in shares] == sorted((s.seconds for s in shares), reverse=True)
    worked = {share.kind for share in shares if share.work.operations}
    assert worked == {"linear int8 x int8"}


class SelfClocked:
    """A machine that says how long each instruction took."""

    def __init__(self, machine: ReferenceMachine) -> None:
        self.program, self._machine = machine.program, machine
        self.started = False

    def start_profile(self) -> None:
        self.started = True

    def profile(self) -> Mapping[str, float]:
        assert self.started
        return {each.name: 2.0 for each in self.program.instructions}

    def __getattr__(self, name: str) -> Any:
        return getattr(self._machine, name)


def test_a_machine_that_measures_itself_is_believed(session: Session) -> None:
    machine = SelfClocked(ReferenceMachine(session.text.program))
    shares = profile(machine, feeds(session), SIZES)
    assert {share.kind: share.seconds for share in shares}["linear int8 x int8"] == 2.0 * 5


def test_int4_products_are_a_kind_of_their_own(session: Session) -> None:
    program = session.text.program
    product = next(each for each in program.instructions if each.op == "linear")
    assert kind_of(program, product) == "linear int8 x int8"
    packed = {**program.tensors, product.tensors["weight"]: np.zeros((1, 1, 16, 4), np.uint8)}
    assert kind_of(dataclasses.replace(program, tensors=packed), product) == "linear int8 x int4"
