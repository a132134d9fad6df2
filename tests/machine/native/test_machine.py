"""The native machine through the op suites, on every instruction set of this processor."""

from __future__ import annotations

import os

import pytest

from tests.machine.batch_suite import BatchSuite
from tests.machine.cache_suite import CacheSuite
from tests.machine.heads_suite import HeadsSuite
from tests.machine.op_suite import OpSuite
from tests.machine.rounding_suite import RoundingSuite
from vlmforge.machine.machine import IMPLEMENTATIONS, Machine
from vlmforge.program.core import Program

if "native" not in IMPLEMENTATIONS:
    assert not os.environ.get("CI"), "the native machine has to be built"
    pytest.skip("the native machine is not built", allow_module_level=True)

from vlmforge.machine.native.machine import NativeMachine, instruction_sets


@pytest.fixture(params=instruction_sets(), scope="class", autouse=True)
def isa(request: pytest.FixtureRequest) -> str:
    """Each instruction set of this processor."""
    return str(request.param)


class _Native:
    @pytest.fixture(autouse=True)
    def _choose(self, isa: str) -> None:
        self.isa = isa

    def open_machine(self, program: Program) -> Machine:
        return NativeMachine(program, threads=2, isa=self.isa)


class TestNative(_Native, OpSuite):
    pass


class TestNativeHeads(_Native, HeadsSuite):
    pass


class TestNativeRounding(_Native, RoundingSuite):
    pass


class TestNativeCache(_Native, CacheSuite):
    pass


class TestNativeBatch(_Native, BatchSuite):
    pass
