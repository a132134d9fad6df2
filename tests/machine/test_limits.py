"""Programs whose sizes wrap around 64 bits, or that ask for more memory than there is."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.machine.decoder import decoder
from vlmforge.dims import Dim
from vlmforge.errors import FormatError, RunError
from vlmforge.machine.machine import IMPLEMENTATIONS, Cache, Machine
from vlmforge.machine.reference.machine import ReferenceMachine
from vlmforge.program.core import Buffer, Instruction, Program
from vlmforge.program.verify import verify

native = pytest.mark.skipif("native" not in IMPLEMENTATIONS, reason="it is not built")


def machines(program: Program) -> list[Machine]:
    """Every implementation, the native one on every instruction set there is."""
    found: list[Machine] = [ReferenceMachine(program)]
    if "native" in IMPLEMENTATIONS:
        from vlmforge.machine.native.machine import NativeMachine, instruction_sets

        for isa in instruction_sets():
            found += [NativeMachine(program, threads, isa) for threads in (1, 2)]
    return found


def gathers(*shapes: Sequence[Dim]) -> Program:
    """Gathers of rows of an int8 input, each of a shape of its own."""
    buffers = {"index": Buffer("index", ("n",), "int64")}
    steps = []
    for number, (rows, *rest) in enumerate(shapes):
        x, y = f"x{number}", f"y{number}"
        buffers[x] = Buffer(x, (rows, *rest), "int8")
        buffers[y] = Buffer(y, ("n", *rest), "int8")
        steps.append(Instruction(y, "gather_rows", (x, "index")))
    inputs = ("index", *(f"x{i}" for i in range(len(shapes))))
    outputs = tuple(f"y{i}" for i in range(len(shapes)))
    return Program("vision", inputs, outputs, buffers, tuple(steps), {})


@pytest.fixture
def little_memory() -> Iterator[None]:
    """4 GiB of address space besides what is in use."""
    resource = pytest.importorskip("resource")
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (used + (4 << 30), before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_AS, before)


# Their bytes, a row of each, are 2^64 + 2^24 together.
WRAPPING = [(1, 2**31 - 1, 2**31 - 1, 4), (1, 2**31, 8), (1, 2**24 - 4)]


def test_sizes_that_wrap_around_are_refused() -> None:
    assert sum(math.prod(shape) for shape in WRAPPING) == 2**64 + 2**24
    with pytest.raises(FormatError, match="at most 68719476736 bytes"):
        verify(gathers(*WRAPPING))


@native
def test_the_native_machine_refuses_them_by_itself() -> None:
    for program, rule in (
        (gathers(*WRAPPING), "at most 2\\^36 bytes"),
        (gathers((1, 2**31)), "fit 31 bits"),
        (gathers((1,) * 9), "at most 8 dimensions"),
        (gathers(*[(1, 2**31 - 1, 31)] * 9), "at most 2\\^40 bytes"),
        (gathers(("65536*m", 2**20 + 1)), "at most 2\\^36 bytes"),
        (gathers(*[("65536*m", 2**20)] * 16), "at most 2\\^40 bytes"),
    ):
        with pytest.raises(RunError, match=rule):
            machines(program)


@native
@pytest.mark.parametrize(
    ("dim", "rule"),
    [
        ((2**16 + 1, 0), "factors are 1 to 2\\^16"),
        ((0, 0), "factors are 1 to 2\\^16"),
        ((-4, 0), "factors are 1 to 2\\^16"),
        ((2**63 - 1, 0), "factors are 1 to 2\\^16"),
        ((4, -2), "are numbered"),
        ((4, 2**17), "are numbered"),
        ((4, 2**31 - 1), "are numbered"),
        ((0, -1), "sizes are positive"),
        ((-1, -1), "sizes are positive"),
    ],
)
def test_the_native_machine_refuses_malformed_dimensions(dim: tuple[int, int], rule: str) -> None:
    from vlmforge import _native

    builder = _native.ProgramBuilder()
    number = builder.add_buffer("x", [dim, (3, -1)], "int8")
    with pytest.raises(ValueError, match=rule):
        builder.build([number], [number], _native.instruction_sets()[0])


@native
@pytest.mark.parametrize("size", [-1, 2**25, 2**40, 2**47, 2**62, 2**63 - 1])
def test_the_native_machine_counts_multiples_that_wrap_around(size: int) -> None:
    program = gathers(("65536*m", 2**17), ("m", 2**8))
    verify(program)
    empty = np.zeros(0, np.int8)
    arrays = [np.zeros(0, np.int64), empty, empty]
    for machine in machines(program)[1:]:
        request = (arrays, [0, size], None, 0, [empty, empty])
        with pytest.raises(MemoryError) as caught:
            machine._machine.run([request], 1, None)  # type: ignore[attr-defined]
        assert caught.value.args[0] > 2**40


@native
@pytest.mark.parametrize("size", [-1, 2**40, 2**40 + 1, 2**62, 2**63 - 1])
def test_the_native_machine_counts_rows_that_wrap_around(size: int) -> None:
    """Dynamic dimensions of three buffers, one after the other, as no array could have them."""
    program = gathers(("m", 2**31 - 1, 31), ("m", 2**24, 4, 8), ("m", 2**5))
    verify(program)
    empty = np.zeros(0, np.int8)
    arrays = [np.zeros(0, np.int64), empty, empty, empty]
    for machine in machines(program)[1:]:
        request = (arrays, [0, size], None, 0, [empty, empty, empty])
        with pytest.raises(MemoryError) as caught:
            machine._machine.run([request], 1, None)  # type: ignore[attr-defined]
        assert caught.value.args[0] > 2**40


@pytest.mark.parametrize(
    ("program", "rule"),
    [
        (gathers((1,) * 9), "at most 8 dimensions"),
        (gathers((2**31, 1)), "positive sizes"),
        (gathers((1, 2**31 - 1, 33)), "at most 68719476736 bytes"),
        (gathers(("65537*m", 1)), "multiples of 2 to 65536"),
        (gathers(("65536*m", 2**20 + 1)), "at most 68719476736 bytes, not 68719542272"),
        (gathers(*[("65536*m", 2**20)] * 16), "all buffers have at most 1099511627776 bytes"),
        (gathers(*[(1, 2**31 - 1, 31)] * 9), "all buffers have at most 1099511627776 bytes"),
        (gathers(*[(1, 1)] * 2**13), "at most 16384 buffers, not 16385"),
    ],
)
def test_sizes_beyond_the_limits_are_refused(program: Program, rule: str) -> None:
    with pytest.raises(FormatError, match=rule):
        verify(program)


@pytest.mark.parametrize("length", [0, 2**24 + 1, 2**63, True, "64"])
def test_a_cache_length_out_of_range_is_refused(length: object) -> None:
    program = decoder()
    program.meta["cache_length"] = length
    with pytest.raises(FormatError, match="cache_length"):
        verify(program)


def widened(width: int) -> Program:
    """As many rows of a narrow input as its index has, and one of them."""
    buffers = {
        "x": Buffer("x", (1, width), "int8"),
        "index": Buffer("index", ("n",), "int64"),
        "one": Buffer("one", (1,), "int64"),
        "wide": Buffer("wide", ("n", width), "int8"),
        "y": Buffer("y", (1, width), "int8"),
    }
    steps = (
        Instruction("wide", "gather_rows", ("x", "index")),
        Instruction("y", "gather_rows", ("wide", "one")),
    )
    return Program("vision", ("x", "index", "one"), ("y",), buffers, steps, {})


@pytest.mark.usefixtures("little_memory")
def test_what_there_is_no_memory_for_is_an_error_with_the_size() -> None:
    program, one = widened(1 << 22), np.zeros(1, np.int64)
    verify(program)
    x = np.arange(1 << 22, dtype=np.int32).astype(np.int8).clip(-127)[None]
    for machine in machines(program):
        feeds = {"x": x, "index": np.zeros(1 << 13, np.int64), "one": one}
        with pytest.raises(RunError, match=r"not enough memory: .*(32\.0 GiB|bytes)") as caught:
            machine.run(feeds)
        assert caught.value.mend is not None
        again = machine.run({**feeds, "index": one})
        np.testing.assert_array_equal(again["y"], x)


@pytest.mark.usefixtures("little_memory")
def test_outputs_there_is_no_memory_for_are_an_error_with_the_size() -> None:
    program = replace(widened(1 << 22), outputs=("wide", "y"))
    feeds = {
        "x": np.zeros((1, 1 << 22), np.int8),
        "index": np.zeros(1 << 13, np.int64),
        "one": np.zeros(1, np.int64),
    }
    for machine in machines(program):
        with pytest.raises(RunError, match="not enough memory"):
            machine.run(feeds)


@pytest.mark.usefixtures("little_memory")
def test_a_cache_there_is_no_memory_for_is_an_error_with_the_size() -> None:
    program = decoder()
    program.meta["cache_length"] = 2**24
    verify(program)
    for machine in machines(program):
        caches: list[Cache] = []
        with pytest.raises(RunError, match="not enough memory"):
            while len(caches) < 64:
                caches.append(machine.new_cache(2**24))
        assert caches
        caches.clear()


def test_a_cache_out_of_range_is_refused() -> None:
    program = decoder()
    del program.meta["cache_length"]
    for machine in machines(program):
        for capacity in (0, -1, 2**24 + 1, 2**40, 2**63, 2**80):
            with pytest.raises(RunError, match="outside 1 to 16777216"):
                machine.new_cache(capacity)
