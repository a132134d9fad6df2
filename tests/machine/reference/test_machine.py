"""The reference machine: caches, exactness of its float products, memory, and opening one."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from tests.machine.batch_suite import BatchSuite
from tests.machine.cache_suite import CacheSuite
from tests.machine.decoder import decoder, request
from tests.machine.single import single
from vlmforge.errors import FormatError, RunError
from vlmforge.machine.cache import KVCache
from vlmforge.machine.machine import Machine, open_machine
from vlmforge.machine.reference.machine import KERNELS, ReferenceMachine
from vlmforge.program.core import Program
from vlmforge.program.instructions import INSTRUCTIONS


class TestReferenceCache(CacheSuite):
    def open_machine(self, program: Program) -> Machine:
        return ReferenceMachine(program)


class TestReferenceBatch(BatchSuite):
    def open_machine(self, program: Program) -> Machine:
        return ReferenceMachine(program)


def test_every_instruction_has_a_kernel() -> None:
    assert set(KERNELS) == set(INSTRUCTIONS)


def test_long_products_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = ReferenceMachine(decoder()).run(request(17))["logits"]
    monkeypatch.setattr("vlmforge.machine.reference.products.BLOCK", 100)
    monkeypatch.setattr("vlmforge.machine.reference.attention.BLOCK", 100)
    np.testing.assert_array_equal(ReferenceMachine(decoder()).run(request(17))["logits"], whole)


@pytest.mark.parametrize("op", ["silu", "gelu", "quick_gelu", "gelu_tanh"])
def test_long_activations_look_up_what_short_ones_compute(op: str) -> None:
    codes = np.random.default_rng(0).integers(-32767, 32768, (70, 1000)).astype(np.int16)
    options = {"scale": 2.0**-12, "inverse_scale": 2.0**12}
    kinds = {"x": (("rows", 1000), "int16")}
    machine = ReferenceMachine(single(op, kinds, (("rows", 1000), "int16"), **options))
    whole = machine.run({"x": codes})["y"]
    parts = [machine.run({"x": part})["y"] for part in np.split(codes, 7)]
    np.testing.assert_array_equal(whole, np.concatenate(parts))


def test_open_machine_verifies() -> None:
    with pytest.raises(FormatError, match="output"):
        open_machine(replace(decoder(), outputs=("nothing",)))


def test_open_machine_by_name() -> None:
    assert isinstance(open_machine(decoder(), "reference"), ReferenceMachine)
    with pytest.raises(RunError, match="no machine called 'abacus'"):
        open_machine(decoder(), "abacus")


@pytest.mark.parametrize("length", [-1, 1])
def test_truncate_to_more_than_there_is(length: int) -> None:
    with pytest.raises(RunError, match="cannot be cut"):
        KVCache({"a": 3}, 5).truncate(length)


def test_a_cache_of_another_machine() -> None:
    machine = ReferenceMachine(decoder())
    foreign = vars(machine.new_cache(4))
    with pytest.raises(RunError, match="another machine"):
        machine.run(request(2), SimpleNamespace(**foreign))
