"""Whole programs on the native machine, and how it is opened and shared."""

from __future__ import annotations

import multiprocessing
import os
import threading
from typing import Any

import numpy as np
import pytest

from tests.machine.decoder import decoder, part, request
from tests.machine.encoder import encoder, picture
from tests.packages import CACHE_LENGTH, HIDDEN, text_program, vision_program
from vlmforge.errors import RunError
from vlmforge.machine import machine as machines
from vlmforge.machine.machine import IMPLEMENTATIONS, Cache, Machine, Request, open_machine
from vlmforge.machine.reference.machine import ReferenceMachine
from vlmforge.program.verify import verify

if "native" not in IMPLEMENTATIONS:
    assert not os.environ.get("CI"), "the native machine has to be built"
    pytest.skip("the native machine is not built", allow_module_level=True)

from vlmforge.machine.native.machine import NativeMachine, instruction_sets

Feeds = dict[str, np.ndarray]


def feeds(seq: int, past: int) -> Feeds:
    """Inputs of the text program that ask for the last row's logits."""
    rng = np.random.default_rng(past)
    return {
        "inputs_embeds": rng.standard_normal((1, seq, HIDDEN)).astype(np.float32),
        "position_ids": np.tile(np.arange(past, past + seq), (3, 1)),
        "logits_index": np.array([seq - 1]),
    }


def traced(machine: Machine, inputs: Feeds, cache: Cache | None = None) -> Feeds:
    """Every buffer that an instruction writes."""
    seen: Feeds = {}
    machine.run(inputs, cache, seen.__setitem__)
    return seen


def assert_equal(found: Feeds, wanted: Feeds) -> None:
    assert list(found) == list(wanted)
    for name, array in wanted.items():
        np.testing.assert_array_equal(found[name], array, err_msg=name)


@pytest.fixture(scope="module")
def answers() -> list[Feeds]:
    """Every buffer of the reference machine over a prompt and 64 steps."""
    reference = ReferenceMachine(text_program())
    cache = reference.new_cache(CACHE_LENGTH)
    return [traced(reference, each, cache) for each in conversation()]


def conversation() -> list[Feeds]:
    return [feeds(37, 0), *(feeds(1, past) for past in range(37, 37 + 64))]


@pytest.mark.parametrize("threads", [1, 2, 5])
@pytest.mark.parametrize("isa", instruction_sets())
def test_every_code_of_a_conversation(isa: str, threads: int, answers: list[Feeds]) -> None:
    machine = NativeMachine(text_program(), threads, isa)
    watched, plain = machine.new_cache(CACHE_LENGTH), machine.new_cache(CACHE_LENGTH)
    output = machine.program.outputs[0]
    for inputs, wanted in zip(conversation(), answers, strict=True):
        assert_equal(traced(machine, inputs, watched), wanted)
        np.testing.assert_array_equal(machine.run(inputs, plain)[output], wanted[output])
    np.testing.assert_array_equal(plain.read(0, plain.length), watched.read(0, watched.length))


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("isa", instruction_sets())
def test_every_code_of_an_image(isa: str, threads: int) -> None:
    program = vision_program()
    images = np.random.default_rng(0).standard_normal((896, 56, 6)).astype(np.float32)
    wanted = traced(ReferenceMachine(program), {"images": images})
    machine = NativeMachine(program, threads, isa)
    assert_equal(traced(machine, {"images": images}), wanted)
    batch = machine.run_batch([Request({"images": images}), Request({"images": -images})])
    np.testing.assert_array_equal(batch[0][program.outputs[0]], wanted[program.outputs[0]])


@pytest.mark.parametrize("groups", [1, 2, 7, 40])
@pytest.mark.parametrize("threads", [1, 2, 5])
@pytest.mark.parametrize("isa", instruction_sets())
def test_every_code_of_an_image_of_any_size(isa: str, threads: int, groups: int) -> None:
    program, inputs = encoder(), picture(groups)
    verify(program)
    wanted = traced(ReferenceMachine(program), inputs)
    machine = NativeMachine(program, threads, isa)
    assert_equal(traced(machine, inputs), wanted)
    np.testing.assert_array_equal(machine.run(inputs)["fc2"], wanted["fc2"])


def test_images_of_several_sizes_run_as_one() -> None:
    machine = NativeMachine(encoder(), threads=2)
    runs: list[int] = []

    class Counting:
        batchable = machine._machine.batchable

        def run(self, requests: list[Any], *arguments: Any) -> Any:
            runs.append(len(requests))
            return inner.run(requests, *arguments)

    inner, machine._machine = machine._machine, Counting()  # type: ignore[assignment]
    machine.run_batch([Request(picture(groups)) for groups in (3, 1, 8)])
    assert runs == [3]


def test_runs_side_by_side() -> None:
    machine = NativeMachine(decoder(), threads=2)
    wanted = [machine.run(request(9, seed))["logits"] for seed in range(4)]
    found: dict[int, np.ndarray] = {}

    def converse(seed: int) -> None:
        for _ in range(20):
            cache, whole = machine.new_cache(9), request(9, seed)
            parts = [machine.run(part(whole, i, i + 3), cache)["logits"] for i in (0, 3, 6)]
            found[seed] = np.concatenate(parts)

    threads = [threading.Thread(target=converse, args=(seed,)) for seed in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    for seed, logits in enumerate(wanted):
        np.testing.assert_array_equal(found[seed], logits)


def test_after_a_fork() -> None:
    machine = NativeMachine(decoder(), threads=2)
    wanted = machine.run(request(5))["logits"]
    context = multiprocessing.get_context("fork")
    here, there = context.Pipe()
    child = context.Process(target=lambda: there.send(machine.run(request(5))["logits"]))
    child.start()
    assert here.poll(60), "the child does not answer"
    np.testing.assert_array_equal(here.recv(), wanted)
    child.join()


def test_a_trace_that_raises() -> None:
    machine = NativeMachine(decoder(), threads=2)
    cache = machine.new_cache(9)

    def refuse(name: str, array: np.ndarray) -> None:
        raise KeyError(name)

    with pytest.raises(KeyError, match="embeds"):
        machine.run(request(5), cache, refuse)
    assert cache.length == 0
    assert machine.run(request(5))["logits"].shape[0] == 5


def test_profile() -> None:
    machine = NativeMachine(decoder(), threads=2)
    wanted = machine.run(request(9))["logits"]
    machine.start_profile()
    np.testing.assert_array_equal(machine.run(request(9))["logits"], wanted)
    seconds = machine.profile()
    assert list(seconds) == [each.name for each in machine.program.instructions]
    assert seconds["logits"] > 0


@pytest.mark.parametrize("value", ["0", "-1", "two", "1025"])
def test_threads_out_of_range(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VLMFORGE_THREADS", value)
    with pytest.raises(RunError, match="VLMFORGE_THREADS"):
        NativeMachine(decoder())


def test_instruction_set_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VLMFORGE_ISA", "scalar")
    monkeypatch.setenv("VLMFORGE_THREADS", "3")
    machine = NativeMachine(decoder())
    assert (machine.isa, machine.threads) == ("scalar", 3)
    monkeypatch.setenv("VLMFORGE_ISA", "abacus")
    with pytest.raises(RunError, match="no instruction set 'abacus'"):
        NativeMachine(decoder())


def test_native_is_the_first_choice() -> None:
    assert isinstance(open_machine(decoder()), NativeMachine)


def test_a_cache_of_the_reference_machine() -> None:
    cache = ReferenceMachine(decoder()).new_cache(9)
    with pytest.raises(RunError, match="another machine"):
        NativeMachine(decoder()).run(request(2), cache)


def test_without_the_native_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machines, "IMPLEMENTATIONS", {"reference": ReferenceMachine})
    machines._tell_of_reference.cache_clear()
    with pytest.warns(UserWarning, match="without its native machine") as told:
        for _ in range(2):
            assert isinstance(open_machine(decoder()), ReferenceMachine)
    assert len(told) == 1
