"""Mutated programs: the verifier refuses one, or the native machine runs it as the reference does.

Under ``make sanitize`` this also shows that no accepted program makes the machine reach beyond its
buffers.
"""

from __future__ import annotations

import os

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from soak.mutator import Mutator, inputs_of
from tests.machine.decoder import decoder
from tests.machine.encoder import encoder
from vlmforge.errors import FormatError, RunError
from vlmforge.machine.machine import IMPLEMENTATIONS, Machine
from vlmforge.machine.reference.machine import ReferenceMachine
from vlmforge.program.verify import verify

if "native" not in IMPLEMENTATIONS:
    assert not os.environ.get("CI"), "the native machine has to be built"
    pytest.skip("the native machine is not built", allow_module_level=True)

from vlmforge.machine.native.machine import NativeMachine

ORIGINALS = {"decoder": decoder(), "encoder": encoder()}


def outcome(machine: Machine, feeds: dict[str, np.ndarray]) -> dict[str, np.ndarray] | str:
    """The outputs of two runs on one cache, or what was refused."""
    try:
        cache = machine.new_cache(40)
        first = machine.run(feeds, cache)
        return {**{f"{n} before": a for n, a in first.items()}, **machine.run(feeds, cache)}
    except RunError as error:
        return str(error)


@pytest.mark.parametrize("original", ORIGINALS)
@settings(max_examples=300, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 4))
def test_refused_or_equal(original: str, seed: int, changes: int) -> None:
    mutate, program = Mutator(seed), ORIGINALS[original]
    for _ in range(changes):
        program = mutate(program)
    try:
        verify(program)
    except FormatError:
        return
    feeds = inputs_of(program, mutate.rng)
    wanted = outcome(ReferenceMachine(program), feeds)
    found = outcome(NativeMachine(program, threads=2), feeds)
    if isinstance(wanted, str) or isinstance(found, str):
        assert found == wanted
        return
    for name, array in wanted.items():
        np.testing.assert_array_equal(found[name], array)
