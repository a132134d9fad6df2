"""BatchSuite: a batch gives each request the bits it has alone; any machine can be put through."""

from __future__ import annotations

from itertools import zip_longest

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.machine.decoder import decoder, part, request
from tests.machine.encoder import FEATURES, encoder, picture
from vlmforge.errors import RunError
from vlmforge.machine.machine import Machine, Request
from vlmforge.program.core import Program
from vlmforge.program.verify import verify

LENGTH = 12


class BatchSuite:
    """The tests; a subclass names the machine."""

    def open_machine(self, program: Program) -> Machine:
        """The machine under test, for a verified program."""
        raise NotImplementedError

    @pytest.fixture
    def machine(self) -> Machine:
        program = decoder()
        verify(program)
        return self.open_machine(program)

    @settings(suppress_health_check=[HealthCheck.differing_executors])
    @given(plans=st.lists(st.sets(st.integers(1, LENGTH - 1), max_size=6), min_size=1, max_size=4))
    def test_a_batch_equals_its_requests(self, plans: list[set[int]]) -> None:
        """Each plan says where the chunks of one request end."""
        machine = self.open_machine(decoder())
        wholes = [request(LENGTH, seed) for seed in range(len(plans))]
        alone = [machine.run(whole)["logits"] for whole in wholes]
        caches = [machine.new_cache(LENGTH + seed) for seed in range(len(plans))]
        for stops in zip_longest(*([*sorted(plan), LENGTH] for plan in plans)):
            batch, wanted = [], []
            for whole, logits, cache, stop in zip(wholes, alone, caches, stops, strict=True):
                if stop is not None:
                    wanted.append(logits[cache.length : stop])
                    batch.append(Request(part(whole, cache.length, stop), cache))
            for outputs, logits in zip(machine.run_batch(batch), wanted, strict=True):
                np.testing.assert_array_equal(outputs["logits"], logits)

    @settings(suppress_health_check=[HealthCheck.differing_executors], max_examples=20)
    @given(groups=st.lists(st.integers(1, 9), min_size=2, max_size=4))
    def test_pictures_of_several_sizes(self, groups: list[int]) -> None:
        machine = self.open_machine(encoder())
        pictures = [picture(size, seed) for seed, size in enumerate(groups)]
        batch = machine.run_batch([Request(each) for each in pictures])
        for each, outputs, size in zip(pictures, batch, groups, strict=True):
            assert outputs["fc2"].shape == (size, FEATURES)
            np.testing.assert_array_equal(outputs["fc2"], machine.run(each)["fc2"])

    def test_a_picture_that_does_not_fit_stops_its_batch(self) -> None:
        machine = self.open_machine(encoder())
        broken = {**picture(2), "patches": picture(2)["patches"][:7]}
        with pytest.raises(RunError, match="7 is not a multiple of 4"):
            machine.run_batch([Request(picture(3)), Request(broken)])
        beyond = {**picture(2), "order": np.array([0, 2])}
        with pytest.raises(RunError, match="row 2 is outside 0 to 1"):
            machine.run_batch([Request(picture(3)), Request(beyond)])

    def test_one_token_of_several_and_a_chunk(self, machine: Machine) -> None:
        batch, expected = [], []
        for seed, past in enumerate((11, 3, 7, 0)):
            whole, cache = request(LENGTH, seed), machine.new_cache(LENGTH)
            if past:
                machine.run(part(whole, 0, past), cache)
            rest = part(whole, past, LENGTH) if not past else part(whole, past, past + 1)
            rest["logits_index"] = rest["logits_index"][-1:]
            batch.append(Request(rest, cache))
            expected.append(machine.run(whole)["logits"][[past if past else -1]])
        for outputs, logits in zip(machine.run_batch(batch), expected, strict=True):
            np.testing.assert_array_equal(outputs["logits"], logits)

    def test_without_caches_and_without_requests(self, machine: Machine) -> None:
        outputs = machine.run_batch([Request(request(4)), Request(request(2, seed=1))])
        np.testing.assert_array_equal(outputs[0]["logits"], machine.run(request(4))["logits"])
        assert outputs[1]["logits"].shape[0] == 2
        assert machine.run_batch([]) == []

    def test_some_want_no_logits(self, machine: Machine) -> None:
        silent = {**request(4), "logits_index": np.empty(0, np.int64)}
        outputs = machine.run_batch([Request(silent), Request(request(3, seed=1))])
        assert outputs[0]["logits"].shape[0] == 0
        expected = machine.run(request(3, seed=1))["logits"]
        np.testing.assert_array_equal(outputs[1]["logits"], expected)

    def test_one_bad_request_changes_no_cache(self, machine: Machine) -> None:
        good, full = machine.new_cache(LENGTH), machine.new_cache(2)
        machine.run(part(request(LENGTH), 0, 3), good)
        after = Request(part(request(LENGTH), 3, 5), good)
        with pytest.raises(RunError, match="3 more positions do not fit"):
            machine.run_batch([after, Request(request(3), full)])
        beyond = {**request(2), "position_ids": np.full((3, 2), 10**6)}
        with pytest.raises(RunError, match="position 1000000"):
            machine.run_batch([after, Request(beyond, full)])

        assert (good.length, full.length) == (3, 0)
        (outputs,) = machine.run_batch([after])
        expected = machine.run(request(LENGTH))["logits"][3:5]
        np.testing.assert_array_equal(outputs["logits"], expected)

    def test_a_shared_cache_is_refused(self, machine: Machine) -> None:
        cache = machine.new_cache(LENGTH)
        with pytest.raises(RunError, match="share a cache"):
            machine.run_batch([Request(request(2), cache), Request(request(2), cache)])
        assert cache.length == 0
