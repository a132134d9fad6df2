"""The reference machine through the op suites."""

from __future__ import annotations

from tests.run.op_suite import OpSuite
from tests.run.rounding_suite import RoundingSuite
from vlmforge.program.core import Program
from vlmforge.run.machine import Machine
from vlmforge.run.reference import ReferenceMachine


class TestReference(OpSuite):
    def open_machine(self, program: Program) -> Machine:
        return ReferenceMachine(program)


class TestReferenceRounding(RoundingSuite):
    def open_machine(self, program: Program) -> Machine:
        return ReferenceMachine(program)
