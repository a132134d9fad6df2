"""CacheSuite: a KV cache never changes a bit; any machine can be put through it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from tests.machine import oracle
from tests.machine.decoder import HIDDEN, POSITIONS, VOCAB, decoder, part, request
from tests.machine.op_suite import codes
from tests.machine.single import single
from vlmforge.errors import RunError
from vlmforge.machine.machine import Cache, Machine
from vlmforge.program.core import Program
from vlmforge.program.verify import verify


class CacheSuite:
    """The tests; a subclass names the machine."""

    def open_machine(self, program: Program) -> Machine:
        """The machine under test, for a verified program."""
        raise NotImplementedError

    @pytest.fixture()
    def machine(self) -> Machine:
        program = decoder()
        verify(program)
        return self.open_machine(program)

    def read(
        self, machine: Machine, whole: dict[str, np.ndarray], cache: Cache, stops: Sequence[int]
    ) -> np.ndarray:
        """Logits of the positions after the cached ones, in chunks that end at ``stops``."""
        parts = []
        for stop in stops:
            parts.append(machine.run(part(whole, cache.length, stop), cache)["logits"])
            assert cache.length == stop
        return np.concatenate(parts)

    @pytest.mark.parametrize(
        "stops", [[23], [10, 23], [1, 2, 3, 22, 23], list(range(1, 24))], ids=str
    )
    def test_chunks_do_not_matter(self, machine: Machine, stops: list[int]) -> None:
        whole = request(23)
        alone = machine.run(whole)["logits"]
        assert len(np.unique(alone)) > 500
        logits = self.read(machine, whole, machine.new_cache(23), stops)
        np.testing.assert_array_equal(logits, alone)

    def test_truncate_forgets(self, machine: Machine) -> None:
        cache, whole, other = machine.new_cache(30), request(20), request(20, seed=1)
        self.read(machine, whole, cache, [20])
        for name in ("inputs_embeds", "position_ids"):
            other[name][:, :8] = whole[name][:, :8]
        cache.truncate(8)
        logits = self.read(machine, other, cache, [13, 20])
        np.testing.assert_array_equal(logits, machine.run(other)["logits"][8:])

    def test_only_the_wanted_rows(self, machine: Machine) -> None:
        whole = request(9)
        index = np.array([8, 2, 2])
        some = machine.run({**whole, "logits_index": index})["logits"]
        np.testing.assert_array_equal(some, machine.run(whole)["logits"][index])
        none = machine.run({**whole, "logits_index": index[:0]}, machine.new_cache(9))["logits"]
        assert none.shape == (0, VOCAB)

    def test_every_buffer_is_traced(self, machine: Machine) -> None:
        seen: dict[str, np.ndarray] = {}
        logits = machine.run(request(3), None, seen.__setitem__)["logits"]
        assert list(seen) == [each.name for each in machine.program.instructions]
        np.testing.assert_array_equal(seen["logits"], logits)
        for name, array in seen.items():
            assert array.dtype == np.dtype(machine.program.buffers[name].dtype)

    @pytest.mark.parametrize("causal", [True, False])
    def test_attention_over_the_cache(self, causal: bool) -> None:
        rng = np.random.default_rng(0)
        kinds: dict[str, Any] = {"q": (("m", 8), "int8"), "k": (("m", 4), "int8")}
        kinds["v"] = kinds["k"]
        scores, multiplier = np.array([0.001, 0.01], np.float32), np.full(8, 100.0, np.float32)
        tensors = {"score_multiplier": scores, "multiplier": multiplier}
        attrs: dict[str, Any] = {"heads": 2, "kv_heads": 1, "head_dim": 4, "cache": "kv"}
        kind = (("m", 8), "int16")
        program = single("attention", kinds, kind, tensors, causal=causal, **attrs)
        verify(program)
        machine = self.open_machine(program)
        cache = machine.new_cache(9)
        q, k, v = codes(rng, (9, 8), "int8"), codes(rng, (9, 4), "int8"), codes(rng, (9, 4), "int8")
        for start, stop in ((0, 3), (3, 4), (4, 9)):
            own = {"q": q[start:stop], "k": k[start:stop], "v": v[start:stop]}
            y = machine.run(own, cache)["y"]
            last = range(start, stop) if causal else [stop - 1] * (stop - start)
            wanted = oracle.attention(
                own["q"], k[:stop], v[:stop], last, scores, multiplier, 1, "int16"
            )
            np.testing.assert_array_equal(y, wanted)

    def test_what_is_visible_in_the_cache(self) -> None:
        rng = np.random.default_rng(0)
        kinds: dict[str, Any] = dict.fromkeys("qkv", (("m", 4), "int8"))
        kinds["visible"] = (("m", 2), "int64")
        scores, multiplier = np.array([0.001], np.float32), np.full(4, 100.0, np.float32)
        tensors = {"score_multiplier": scores, "multiplier": multiplier}
        attrs: dict[str, Any] = {"heads": 1, "kv_heads": 1, "head_dim": 4, "cache": "kv"}
        program = single("attention", kinds, (("m", 4), "int16"), tensors, causal=False, **attrs)
        verify(program)
        machine = self.open_machine(program)
        cache = machine.new_cache(40)
        q, k, v = (codes(rng, (40, 4), "int8") for _ in range(3))
        for start, stop in ((0, 3), (3, 22), (22, 23), (23, 40)):
            last = range(start, stop)
            first = [max(0, i - 18) for i in last]
            own = {"q": q[start:stop], "k": k[start:stop], "v": v[start:stop]}
            own["visible"] = np.array([first, last]).T + [0, 1]
            wanted = oracle.attention(
                own["q"], k[:stop], v[:stop], last, scores, multiplier, 1, "int16", first
            )
            np.testing.assert_array_equal(machine.run(own, cache)["y"], wanted)

    def test_a_full_cache_is_refused_and_kept(self, machine: Machine) -> None:
        cache, whole = machine.new_cache(10), request(12)
        self.read(machine, whole, cache, [8])
        with pytest.raises(RunError, match="3 more positions do not fit"):
            machine.run(part(whole, 8, 11), cache)
        assert cache.length == 8
        self.read(machine, whole, cache, [10])

    @pytest.mark.parametrize("position", [POSITIONS, -1])
    def test_a_position_beyond_the_table(self, machine: Machine, position: int) -> None:
        whole, cache = request(4), machine.new_cache(9)
        whole["position_ids"][1, 2] = position
        with pytest.raises(RunError, match=rf"position {position} is outside 0 to {POSITIONS - 1}"):
            machine.run(whole, cache)
        assert cache.length == 0

    @pytest.mark.parametrize("row", [4, -1])
    def test_a_row_that_is_not_there(self, machine: Machine, row: int) -> None:
        with pytest.raises(RunError, match=f"row {row} is outside 0 to 3"):
            machine.run({**request(4), "logits_index": np.array([row])})

    @pytest.mark.parametrize(
        ("name", "array", "message"),
        [
            ("inputs_embeds", np.zeros((1, 4, HIDDEN)), "is float64, not .* float32"),
            ("inputs_embeds", np.zeros((4, HIDDEN), np.float32), "not \\(1, 'seq'"),
            ("inputs_embeds", np.zeros((1, 4, HIDDEN + 1), np.float32), "is \\(1, 4, 23\\)"),
            ("inputs_embeds", np.full((1, 4, HIDDEN), np.nan, np.float32), "not finite"),
            ("inputs_embeds", [[0.0]], "is list"),
            ("position_ids", np.zeros((3, 5), np.int64), "with {'seq': 4}"),
            ("position_ids", np.zeros((3, 4), np.int32), "is int32"),
            ("extra", np.zeros(1), "the inputs are"),
        ],
    )
    def test_inputs_that_do_not_fit(
        self, machine: Machine, name: str, array: np.ndarray, message: str
    ) -> None:
        with pytest.raises(RunError, match=message):
            machine.run({**request(4), name: array})

    def test_nothing_to_run(self, machine: Machine) -> None:
        with pytest.raises(RunError, match="no rows"):
            machine.run(request(0), machine.new_cache(4))

    @pytest.mark.parametrize("capacity", [0, POSITIONS + 1])
    def test_capacity_out_of_range(self, machine: Machine, capacity: int) -> None:
        with pytest.raises(RunError, match=f"outside 1 to {POSITIONS}"):
            machine.new_cache(capacity)

    def test_a_cache_of_another_program(self, machine: Machine) -> None:
        other = self.open_machine(decoder(layers=3)).new_cache(9)
        with pytest.raises(RunError, match="another program"):
            machine.run(request(2), other)

    @pytest.mark.parametrize("cut", [0, 1, 8, 20])
    def test_rows_move_to_another_cache(self, machine: Machine, cut: int) -> None:
        whole, cache, other = request(20), machine.new_cache(20), machine.new_cache(30)
        self.read(machine, whole, cache, [20])
        other.append(cache.read(0, cut // 2))
        other.append(cache.read(cut // 2, cut))
        assert other.length == cut
        if cut < 20:
            logits = self.read(machine, whole, other, [20])
            np.testing.assert_array_equal(logits, machine.run(whole)["logits"][cut:])
        np.testing.assert_array_equal(other.read(0, 20), cache.read(0, 20))

    def test_rows_are_a_copy(self, machine: Machine) -> None:
        cache = machine.new_cache(9)
        self.read(machine, request(5), cache, [5])
        rows = cache.read(1, 4)
        before = rows.copy()
        cache.truncate(0)
        self.read(machine, request(5, seed=1), cache, [5])
        np.testing.assert_array_equal(rows, before)

    def test_rows_that_do_not_fit(self, machine: Machine) -> None:
        cache = machine.new_cache(4)
        self.read(machine, request(3), cache, [3])
        rows = cache.read(0, 3)
        for wrong in (rows[:, 1:], rows.astype(np.int16), rows[0], rows[:2], -128 + 0 * rows[:1]):
            with pytest.raises(RunError, match="rows"):
                cache.append(wrong)
            assert cache.length == 3
        for start, stop in ((0, 4), (-1, 2), (2, 1)):
            with pytest.raises(RunError, match="has no rows"):
                cache.read(start, stop)
