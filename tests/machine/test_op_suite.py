"""The reference machine through the op suites."""

from __future__ import annotations

from tests.machine.heads_suite import HeadsSuite
from tests.machine.op_suite import OpSuite
from tests.machine.rounding_suite import RoundingSuite
from vlmforge.machine.machine import Machine
from vlmforge.machine.reference.machine import ReferenceMachine
from vlmforge.program.core import Program


class TestReference(OpSuite):
    def open_machine(self, program: Program) -> Machine:
        return ReferenceMachine(program)


class TestReferenceHeads(HeadsSuite):
    def open_machine(self, program: Program) -> Machine:
        return ReferenceMachine(program)


class TestReferenceRounding(RoundingSuite):
    def open_machine(self, program: Program) -> Machine:
        return ReferenceMachine(program)
