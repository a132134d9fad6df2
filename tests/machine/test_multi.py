"""MultiMachine: the bits of the machine it drives, on several cores."""

from __future__ import annotations

import threading
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.machine.batch_suite import BatchSuite
from tests.machine.cache_suite import CacheSuite
from tests.machine.decoder import decoder, part, request
from vlmforge.errors import RunError
from vlmforge.machine.machine import IMPLEMENTATIONS, Machine, Request, open_machine
from vlmforge.machine.multi import MultiMachine, divide
from vlmforge.machine.reference.machine import ReferenceMachine
from vlmforge.program.core import Program


class TestMultiCache(CacheSuite):
    def open_machine(self, program: Program) -> Machine:
        return MultiMachine(ReferenceMachine(program), 2)


class TestMultiBatch(BatchSuite):
    def open_machine(self, program: Program) -> Machine:
        return MultiMachine(ReferenceMachine(program), 3)


@pytest.mark.skipif("native" not in IMPLEMENTATIONS, reason="the native machine is not built")
class TestNativeMultiBatch(BatchSuite):
    def open_machine(self, program: Program) -> Machine:
        return MultiMachine(open_machine(program, "native", threads=1), 3)


@given(sizes=st.lists(st.integers(0, 50), max_size=12), shares=st.integers(1, 5))
def test_every_request_has_one_core(sizes: list[int], shares: int) -> None:
    lists = divide(sizes, shares)
    sums = [sum(sizes[index] for index in each) for each in lists]

    assert sorted(index for each in lists for index in each) == list(range(len(sizes)))
    assert len(lists) == min(shares, len(sizes))
    assert max(sums, default=0) - min(sums, default=0) <= max(sizes, default=0)


class MeetingMachine(ReferenceMachine):
    """Goes on when two batches run at the same time."""

    def __init__(self, program: Program) -> None:
        super().__init__(program)
        self.meeting = threading.Barrier(2, timeout=20)

    def run_batch(self, requests: Sequence[Request]) -> list[dict[str, np.ndarray]]:
        self.meeting.wait()
        return super().run_batch(requests)


def test_shares_run_at_the_same_time() -> None:
    machine = MultiMachine(MeetingMachine(decoder()), 2)

    outputs = machine.run_batch([Request(request(3, seed)) for seed in range(4)])

    for seed, each in enumerate(outputs):
        np.testing.assert_array_equal(each["logits"], machine.run(request(3, seed))["logits"])


def test_a_failing_share_takes_the_others_back() -> None:
    machine = MultiMachine(MeetingMachine(decoder()), 2)
    good, full = machine.new_cache(12), machine.new_cache(2)
    machine.run(part(request(12), 0, 3), good)

    with pytest.raises(RunError, match="do not fit"):
        machine.run_batch([Request(part(request(12), 3, 6), good), Request(request(3), full)])

    assert (good.length, full.length) == (3, 0)
