"""OpSuite: every instruction against the oracle; any machine can be put through it.

class TestNative(OpSuite):
    open_machine = staticmethod(NativeMachine)
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.machine import oracle
from tests.machine.single import in_groups, single, single_of
from tests.memory import peak_growth
from vlmforge.dims import Dim, Shape, resolve
from vlmforge.errors import RunError
from vlmforge.machine.machine import Machine, Request
from vlmforge.program.core import Program
from vlmforge.program.layout import pack, pack_group_scale, pack_int4
from vlmforge.program.verify import verify

SEEDS = st.integers(0, 2**32 - 1)
DTYPES = st.sampled_from(["int8", "int16"])
PRODUCT_DTYPES = st.sampled_from(["int8", "int16", "float32"])
SMALL = st.integers(1, 6)
WIDE = st.integers(1, 70)
FLAGS = st.booleans()
WEIGHTS = st.sampled_from([None, 0, 32, 64, 128])
ACTIVATIONS = {
    "silu": oracle.silu,
    "gelu": oracle.gelu,
    "quick_gelu": oracle.quick_gelu,
    "gelu_tanh": oracle.gelu_tanh,
}
WITHOUT_ROWS = ("reshape", "constant", "conv2d")

several = settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.differing_executors]
)


def codes(rng: np.random.Generator, shape: tuple[int, ...], dtype: str) -> np.ndarray:
    """Codes of one of three kinds: of any size, saturated, or small."""
    limit = oracle.LIMITS[dtype]
    kind = rng.integers(3)
    if kind == 0:
        return rng.integers(-limit, limit + 1, shape).astype(dtype)
    if kind == 1:
        return rng.choice(np.array([-limit, limit], dtype), shape)
    return rng.integers(-3, 4, shape).astype(dtype)


@dataclass(frozen=True)
class Weight:
    """Codes of a product's weight ``[N, K]`` as one of the kinds a machine knows.

    Attributes:
        codes: int8.
        scales: int8 ``[N, groups]``, if the weight has groups.
        group: columns of a group; 0 is int4 without groups, None int8.
    """

    codes: np.ndarray
    scales: np.ndarray | None = None
    group: int | None = None

    @property
    def tensors(self) -> dict[str, np.ndarray]:
        packed = {"weight": (pack if self.group is None else pack_int4)(self.codes)}
        grouped = self.scales is not None
        return packed | ({"group_scale": pack_group_scale(self.scales)} if grouped else {})

    @property
    def attrs(self) -> dict[str, int]:
        sizes = dict(zip(("out_features", "in_features"), self.codes.shape, strict=True))
        return sizes | ({"group": self.group} if self.group else {})

    def linear(
        self, x: np.ndarray, multiplier: np.ndarray, bias: np.ndarray | None, dtype: str
    ) -> np.ndarray:
        """What the oracle makes of it."""
        grouping = (self.scales, self.group or 1)
        return oracle.linear(x, self.codes, multiplier, bias, dtype, *grouping)


def weights(rng: np.random.Generator, n: int, k: int, group: int | None) -> Weight:
    """A weight of the kind ``group`` names; its codes and scales are of several kinds."""
    if group is None:
        return Weight(codes(rng, (n, k), "int8"))
    low, high = ((-8, -7), (7, 8), (-8, 8), (-1, 2))[rng.integers(4)]
    narrow = rng.integers(low, high, (n, k)).astype(np.int8)
    if group == 0:
        return Weight(narrow, None, 0)
    low, high = ((127, 128), (1, 128), (1, 3))[rng.integers(3)]
    shape = (n, -(-k // group))
    scales = rng.integers(low, high, shape) * rng.choice([-1, 1], shape)
    return Weight(narrow, scales.astype(np.int8), group)


def factors(rng: np.random.Generator, shape: tuple[int, ...], size: float) -> np.ndarray:
    """Float32 factors around ``size``, negative ones among them."""
    return (rng.standard_normal(shape) * size).astype(np.float32)


def factor(rng: np.random.Generator, low: float, high: float) -> float:
    """A positive float32, evenly spread in logarithm."""
    return float(np.float32(np.exp(rng.uniform(np.log(low), np.log(high)))))


def windowed(rows: Dim, width: int, heads: int) -> Program:
    """An attention whose rows see what ``visible`` says."""
    inputs: dict[str, tuple[Shape, str]] = dict.fromkeys("qkv", ((rows, width), "int8"))
    inputs["visible"] = ((rows, 2), "int64")
    tensors = {
        "score_multiplier": np.full(heads, 2**-8, np.float32),
        "multiplier": np.full(width, 100, np.float32),
    }
    sizes: dict[str, Any] = {"heads": heads, "kv_heads": heads, "head_dim": width // heads}
    program = single(
        "attention", inputs, ((rows, width), "int16"), tensors, causal=False, cache=None, **sizes
    )
    verify(program)
    return program


class OperationTests:
    """What op suites share: the machine under test and programs of one instruction."""

    def open_machine(self, program: Program) -> Machine:
        """The machine under test, for a verified program."""
        raise NotImplementedError

    def compute(
        self,
        op: str,
        arrays: Mapping[str, np.ndarray],
        output: tuple[tuple[Dim, ...], str],
        tensors: Mapping[str, np.ndarray] | None = None,
        **attrs: Any,
    ) -> np.ndarray:
        """What the machine makes of a single instruction, whatever the number of its rows."""
        program = single_of(op, arrays, output, tensors, **attrs)
        verify(program)
        result = self.open_machine(program).run(arrays)["y"]
        assert (result.shape, result.dtype) == (output[0], np.dtype(output[1]))
        grouped = in_groups(program)
        assert (grouped is None) == (op in WITHOUT_ROWS)
        if grouped is not None:
            verify(grouped)
            np.testing.assert_array_equal(self.open_machine(grouped).run(arrays)["y"], result)
        return result


class OpSuite(OperationTests):
    """The tests; a subclass names the machine."""

    @several
    @given(SEEDS, SMALL, WIDE, DTYPES)
    def test_quantize(self, seed: int, m: int, k: int, dtype: str) -> None:
        rng = np.random.default_rng(seed)
        scale = factor(rng, 0.1, 1e5)
        x = np.concatenate([factors(rng, (m, k), 1.0), np.full((m, 1), 2.5 / scale, np.float32)], 1)
        y = self.compute("quantize", {"x": x}, (x.shape, dtype), inverse_scale=scale)
        wanted = oracle.elementwise(lambda v: oracle.code(v * np.float32(scale), dtype), dtype, x)
        np.testing.assert_array_equal(y, wanted)

    def test_quantize_overflow(self) -> None:
        x = np.array([3e38, -3e38, 0.0], np.float32)
        y = self.compute("quantize", {"x": x}, ((3,), "int8"), inverse_scale=1024.0)
        assert y.tolist() == [127, -127, 0]

    def test_ties_go_to_even(self) -> None:
        x = np.array([1, 3, 5, -1, -3, 255, -255], np.int16)
        y = self.compute("requantize", {"x": x}, ((7,), "int8"), multiplier=0.5)
        assert y.tolist() == [0, 2, 2, 0, -2, 127, -127]

    @several
    @given(SEEDS, SMALL, WIDE, DTYPES)
    def test_requantize(self, seed: int, m: int, k: int, dtype: str) -> None:
        rng = np.random.default_rng(seed)
        x, scale = codes(rng, (m, k), "int16"), factor(rng, 1e-4, 10)
        y = self.compute("requantize", {"x": x}, ((m, k), dtype), multiplier=scale)
        wanted = oracle.elementwise(
            lambda i: oracle.code(oracle.f32(int(i)) * np.float32(scale), dtype), dtype, x
        )
        np.testing.assert_array_equal(y, wanted)

    @several
    @given(SEEDS, SMALL, SMALL, st.sampled_from([16, 32, 64, 128]), DTYPES)
    def test_hadamard(self, seed: int, m: int, blocks: int, block: int, dtype: str) -> None:
        rng = np.random.default_rng(seed)
        self.check_hadamard(codes(rng, (m, blocks * block), "int16"), block, dtype, rng)

    @pytest.mark.parametrize("dtype", ["int8", "int16"])
    @pytest.mark.parametrize("block", [256, 512])
    def test_hadamard_of_wide_blocks(self, block: int, dtype: str) -> None:
        rng = np.random.default_rng(block)
        for x in (codes(rng, (1, 3 * block), "int16"), np.full((2, block), 32767, np.int16)):
            self.check_hadamard(x, block, dtype, rng)

    @pytest.mark.parametrize("block", [16, 256])
    def test_hadamard_of_no_rows(self, block: int) -> None:
        kind = (("rows", 2 * block), "int16")
        program = single("hadamard", {"x": kind}, kind, block=block, multiplier=0.5)
        x = np.empty((0, 2 * block), np.int16)
        assert self.open_machine(program).run({"x": x})["y"].shape == x.shape

    def check_hadamard(
        self, x: np.ndarray, block: int, dtype: str, rng: np.random.Generator
    ) -> None:
        scale = factor(rng, 1e-4, 1)
        y = self.compute("hadamard", {"x": x}, (x.shape, dtype), block=block, multiplier=scale)
        wanted = oracle.hadamard(x, block, np.float32(scale), dtype)
        np.testing.assert_array_equal(y, wanted)

    def test_reshape(self) -> None:
        x = np.arange(24, dtype=np.int16).reshape(1, 4, 6)
        y = self.compute("reshape", {"x": x}, ((8, 3), "int16"), shape=[8, 3])
        np.testing.assert_array_equal(y, x.reshape(8, 3))

    @pytest.mark.parametrize(
        ("before", "after"),
        [
            (("4*g", 6), ("g", 24)),
            (("g", 24), ("4*g", 6)),
            (("6*g", 4), (1, "4*g", 2, 3)),
            ((3, "2*g"), ("6*g",)),
            (("65536*g",), ("g", 65536)),
            (("2*g", "3*h"), ("h", 6, "g")),
        ],
    )
    @pytest.mark.parametrize("sizes", [{"g": 1, "h": 2}, {"g": 3, "h": 1}, {"g": 0, "h": 5}])
    def test_reshape_of_multiples(self, before: Shape, after: Shape, sizes: dict[str, int]) -> None:
        inputs = {"x": (before, "int16")}
        program = single("reshape", inputs, (after, "int16"), shape=list(after))
        verify(program)
        shape = resolve(before, sizes)
        x = np.arange(math.prod(shape), dtype=np.int64).astype(np.int16).reshape(shape).clip(-32767)
        y = self.open_machine(program).run({"x": x})["y"]
        np.testing.assert_array_equal(y, x.reshape(resolve(after, sizes)))

    @pytest.mark.parametrize("rows", [1, 2, 3, 5, 6, 7])
    def test_rows_that_are_no_whole_groups(self, rows: int) -> None:
        kind: tuple[Shape, str] = (("4*groups", 3), "int16")
        program = single("requantize", {"x": kind}, kind, multiplier=1.0)
        machine = self.open_machine(program)
        message = f"the input 'x' is \\({rows}, 3\\), .*: {rows} is not a multiple of 4"
        with pytest.raises(RunError, match=message) as caught:
            machine.run({"x": np.ones((rows, 3), np.int16)})
        assert caught.value.mend is not None
        for whole in (0, 4, 8):
            x = np.full((whole, 3), whole, np.int16)
            np.testing.assert_array_equal(machine.run({"x": x})["y"], x)

    def test_inputs_that_disagree_about_groups(self) -> None:
        inputs: dict[str, tuple[Shape, str]] = {
            "x": (("4*g", 3), "int8"),
            "index": (("g",), "int64"),
        }
        machine = self.open_machine(single("gather_rows", inputs, (("g", 3), "int8")))
        feeds = {"x": np.ones((8, 3), np.int8), "index": np.array([7, 0])}
        assert machine.run(feeds)["y"].shape == (2, 3)
        with pytest.raises(RunError, match=r"with \{'g': 2\}: 8 where there"):
            machine.run({**feeds, "index": np.zeros(8, np.int64)})
        with pytest.raises(RunError, match="row 8 is outside 0 to 7"):
            machine.run({**feeds, "index": np.array([8, 0])})

    @pytest.mark.parametrize("dtype", ["int8", "int16", "int64", "float32"])
    def test_constant(self, dtype: str) -> None:
        value = np.arange(6, dtype=dtype).reshape(2, 3)
        y = self.compute("constant", {}, ((2, 3), dtype), {"value": value})
        np.testing.assert_array_equal(y, value)

    @pytest.mark.parametrize("dtype", ["int8", "int16", "int64", "float32"])
    def test_gather_rows(self, dtype: str) -> None:
        x, index = np.arange(15).reshape(5, 3).astype(dtype), np.array([4, 0, 0, 2])
        y = self.compute("gather_rows", {"x": x, "index": index}, ((4, 3), dtype))
        np.testing.assert_array_equal(y, x[[4, 0, 0, 2]])

    @several
    @given(SEEDS, SMALL, WIDE, WIDE, DTYPES, PRODUCT_DTYPES, FLAGS, WEIGHTS)
    def test_linear(
        self,
        seed: int,
        m: int,
        k: int,
        n: int,
        dtype: str,
        output: str,
        biased: bool,
        group: int | None,
    ) -> None:
        rng = np.random.default_rng(seed)
        x, weight = codes(rng, (m, k), dtype), weights(rng, n, k, group)
        self.check_linear(rng, x, weight, output, biased)

    @pytest.mark.parametrize("dtype", ["int8", "int16"])
    @pytest.mark.parametrize("group", [None, 0, 32, 64, 128])
    @pytest.mark.parametrize("k", [1023, 1024, 1025, 2500])
    def test_linear_of_many_columns(self, k: int, group: int | None, dtype: str) -> None:
        for seed in range(3):
            rng = np.random.default_rng(seed)
            x, weight = codes(rng, (2, k), dtype), weights(rng, 3, k, group)
            self.check_linear(rng, x, weight, "float32", seed == 1)

    @pytest.mark.parametrize("dtype", ["int8", "int16"])
    @pytest.mark.parametrize("group", [None, 0, 32])
    @pytest.mark.parametrize("m", [1, 5])
    def test_linear_of_many_outputs(self, m: int, group: int | None, dtype: str) -> None:
        rng = np.random.default_rng(m)
        x, weight = codes(rng, (m, 260), dtype), weights(rng, 601, 260, group)
        self.check_linear(rng, x, weight, "int16", m == 1)

    @pytest.mark.parametrize("dtype", ["int8", "int16"])
    @pytest.mark.parametrize("group", [None, 0, 32, 64, 128])
    def test_linear_at_the_largest_sums(self, group: int | None, dtype: str) -> None:
        limit, rng = oracle.LIMITS[dtype], np.random.default_rng(0)
        n, k = 20, 12001
        x = rng.integers(limit - 5, limit + 1, (1, k)).astype(dtype)
        low = rng.integers(*((-127, -120) if group is None else (-8, -6)), (n, k)).astype(np.int8)
        scales = rng.integers(122, 128, (n, -(-k // group))).astype(np.int8) if group else None
        weight = Weight(low, scales, group)
        self.compare_linear(x, weight, np.ones(n, np.float32), None, "float32")

    def check_linear(
        self, rng: np.random.Generator, x: np.ndarray, weight: Weight, output: str, biased: bool
    ) -> None:
        n, size = len(weight.codes), oracle.LIMITS["int8" if output == "int8" else "int16"]
        spread = float(np.abs(weight.linear(x, np.ones(n, np.float32), None, "float32")).max())
        multiplier = factors(rng, (n,), 2 * size / (spread or 1.0))
        wide = "int32" if x.dtype == np.int8 else "int64"
        bias = rng.integers(-(2**31), 2**31, n).astype(wide) if biased else None
        self.compare_linear(x, weight, multiplier, bias, output)

    def compare_linear(
        self,
        x: np.ndarray,
        weight: Weight,
        multiplier: np.ndarray,
        bias: np.ndarray | None,
        output: str,
    ) -> None:
        tensors = weight.tensors | {"multiplier": multiplier}
        tensors |= {} if bias is None else {"bias": bias}
        kind = ((len(x), len(weight.codes)), output)
        y = self.compute("linear", {"x": x}, kind, tensors, **weight.attrs)
        np.testing.assert_array_equal(y, weight.linear(x, multiplier, bias, output))

    @several
    @given(SEEDS, st.tuples(SMALL, SMALL, SMALL, SMALL, SMALL), WIDE, DTYPES, WEIGHTS)
    def test_conv2d(
        self,
        seed: int,
        sizes: tuple[int, int, int, int, int],
        n: int,
        dtype: str,
        group: int | None,
    ) -> None:
        rng = np.random.default_rng(seed)
        rows, columns, kernel_h, kernel_w, channels = sizes
        x = codes(rng, (rows * kernel_h, columns * kernel_w, channels), dtype)
        k = kernel_h * kernel_w * channels
        weight, multiplier = weights(rng, n, k, group), factors(rng, (n,), 1 / k)
        tensors = weight.tensors | {"multiplier": multiplier}
        sized = {"kernel": [kernel_h, kernel_w], **weight.attrs}
        y = self.compute("conv2d", {"x": x}, ((rows * columns, n), "int16"), tensors, **sized)
        flat = oracle.patches(x, kernel_h, kernel_w)
        np.testing.assert_array_equal(y, weight.linear(flat, multiplier, None, "int16"))

    @several
    @given(SEEDS, SMALL, WIDE, DTYPES, FLAGS)
    def test_rms_norm(self, seed: int, m: int, k: int, dtype: str, gained: bool) -> None:
        rng = np.random.default_rng(seed)
        x, gain = codes(rng, (m, k), "int16"), factors(rng, (k,), oracle.LIMITS[dtype] / 3)
        epsilon, scale = factor(rng, 1e-6, 100), factor(rng, 1, 1e4)
        tensors = {"gain": gain} if gained else {}
        y = self.compute(
            "rms_norm", {"x": x}, ((m, k), dtype), tensors, epsilon=epsilon, multiplier=scale
        )
        gains = gain.tolist() if gained else [scale] * k
        np.testing.assert_array_equal(y, oracle.rms_norm(x, gains, epsilon, dtype))

    @several
    @given(SEEDS, SMALL, SMALL, st.sampled_from([1, 5, 16, 72, 80]), DTYPES, FLAGS)
    def test_rms_norm_of_groups(
        self, seed: int, m: int, groups: int, group: int, dtype: str, gained: bool
    ) -> None:
        rng, k = np.random.default_rng(seed), groups * group
        x, gain = codes(rng, (m, k), "int16"), factors(rng, (k,), oracle.LIMITS[dtype] / 3)
        epsilon, scale = factor(rng, 1e-6, 100), factor(rng, 1, 1e4)
        tensors = {"gain": gain} if gained else {}
        attrs = {"epsilon": epsilon, "multiplier": scale, "group": group}
        y = self.compute("rms_norm", {"x": x}, ((m, k), dtype), tensors, **attrs)
        gains = gain.tolist() if gained else [scale] * k
        np.testing.assert_array_equal(y, oracle.rms_norm(x, gains, epsilon, dtype, group))

    def test_rms_norm_of_groups_of_no_rows(self) -> None:
        kind = (("rows", 8), "int16")
        attrs = {"epsilon": 1.0, "multiplier": 1.0, "group": 4}
        program = single("rms_norm", {"x": kind}, kind, **attrs)
        x = np.empty((0, 8), np.int16)
        assert self.open_machine(program).run({"x": x})["y"].shape == x.shape

    @several
    @given(SEEDS, SMALL, WIDE, DTYPES, FLAGS, FLAGS)
    def test_layer_norm(
        self, seed: int, m: int, k: int, dtype: str, gained: bool, biased: bool
    ) -> None:
        rng = np.random.default_rng(seed)
        x, gain = codes(rng, (m, k), "int16"), factors(rng, (k,), oracle.LIMITS[dtype] / 3)
        bias = factors(rng, (k,), 20)
        epsilon, scale = factor(rng, 1e-6, 100), factor(rng, 1, 1e4)
        tensors = ({"gain": gain} if gained else {}) | ({"bias": bias} if biased else {})
        y = self.compute(
            "layer_norm", {"x": x}, ((m, k), dtype), tensors, epsilon=epsilon, multiplier=scale
        )
        gains = gain.tolist() if gained else [scale] * k
        biases = bias.tolist() if biased else None
        np.testing.assert_array_equal(y, oracle.layer_norm(x, gains, biases, epsilon, dtype))

    @several
    @given(SEEDS, WIDE, DTYPES)
    def test_add(self, seed: int, k: int, dtype: str) -> None:
        rng = np.random.default_rng(seed)
        a, b = codes(rng, (2, k), "int16"), codes(rng, (2, k), "int16")
        left, right = factor(rng, 1e-3, 2), -factor(rng, 1e-3, 2)
        y = self.compute(
            "add", {"a": a, "b": b}, ((2, k), dtype), multiplier_a=left, multiplier_b=right
        )

        def add(i: int, j: int) -> int:
            first = np.float32(oracle.f32(int(i)) * np.float32(left))
            return oracle.code(first + np.float32(oracle.f32(int(j)) * np.float32(right)), dtype)

        np.testing.assert_array_equal(y, oracle.elementwise(add, dtype, a, b))

    @several
    @given(SEEDS, WIDE, DTYPES)
    def test_mul(self, seed: int, k: int, dtype: str) -> None:
        rng = np.random.default_rng(seed)
        a, b = codes(rng, (2, k), "int16"), codes(rng, (2, k), "int16")
        scale = factor(rng, 1e-7, 1e-2)
        y = self.compute("mul", {"a": a, "b": b}, ((2, k), dtype), multiplier=scale)

        def mul(i: int, j: int) -> int:
            product = np.float32(oracle.f32(int(i)) * oracle.f32(int(j)))
            return oracle.code(product * np.float32(scale), dtype)

        np.testing.assert_array_equal(y, oracle.elementwise(mul, dtype, a, b))

    @pytest.mark.parametrize("op", list(ACTIVATIONS))
    @several
    @given(SEEDS, WIDE, DTYPES, st.integers(-127, 127))
    def test_activation(self, op: str, seed: int, k: int, dtype: str, zero_point: int) -> None:
        rng = np.random.default_rng(seed)
        x, scale = codes(rng, (2, k), "int16"), factor(rng, 1e-5, 10)
        inverse = factor(rng, 1, 1e4)
        shift = {"zero_point": zero_point} if dtype == "int8" else {}
        attrs = {"scale": scale, "inverse_scale": inverse, **shift}
        y = self.compute(op, {"x": x}, ((2, k), dtype), **attrs)

        def apply(i: int) -> int:
            t = np.float32(oracle.f32(int(i)) * np.float32(scale))
            scaled = np.float32(ACTIVATIONS[op](t) * np.float32(inverse))
            return oracle.code(scaled + np.float32(shift.get("zero_point", 0)), dtype)

        np.testing.assert_array_equal(y, oracle.elementwise(apply, dtype, x))

    @several
    @given(SEEDS, SMALL, st.lists(SMALL, min_size=1, max_size=6))
    def test_rope_lookup(self, seed: int, m: int, sections: list[int]) -> None:
        rng = np.random.default_rng(seed)
        columns = sum(sections)
        cos, sin = factors(rng, (9, columns), 1), factors(rng, (9, columns), 1)
        ids = rng.integers(0, 9, (3, m))
        kind = ((m, 2, 2 * columns), "float32")
        tensors = {"cos": cos, "sin": sin}
        y = self.compute("rope_lookup", {"position_ids": ids}, kind, tensors, sections=sections)
        np.testing.assert_array_equal(y, oracle.rope_lookup(ids, cos, sin, sections))

    @several
    @given(SEEDS, SMALL, SMALL, SMALL, FLAGS)
    def test_rope(self, seed: int, m: int, heads: int, half: int, centred: bool) -> None:
        rng = np.random.default_rng(seed)
        width = heads * 2 * half
        x, rows = codes(rng, (m, width), "int16"), factors(rng, (m, 2, 2 * half), 0.7)
        tensors = {"multiplier": factors(rng, (width,), 0.005)}
        if centred:
            tensors["offset"] = factors(rng, (width,), 50.0)
        arrays, kind = {"x": x, "rows": rows}, ((m, width), "int8")
        y = self.compute("rope", arrays, kind, tensors, head_dim=2 * half)
        np.testing.assert_array_equal(y, oracle.rope(x, rows, head_dim=2 * half, **tensors))

    @several
    @given(SEEDS, st.tuples(SMALL, SMALL, SMALL, st.integers(1, 20)), DTYPES, FLAGS, FLAGS)
    def test_attention(
        self, seed: int, sizes: tuple[int, int, int, int], dtype: str, causal: bool, indexed: bool
    ) -> None:
        rng = np.random.default_rng(seed)
        kv_heads, shared, head_dim, m = sizes
        heads = kv_heads * shared
        n = int(rng.integers(1, 5)) if indexed or not causal else m
        q = codes(rng, (n, heads * head_dim), "int8")
        k, v = (codes(rng, (m, kv_heads * head_dim), "int8") for _ in range(2))
        index = rng.integers(0, m, n)
        arrays = {"q": q, "k": k, "v": v} | ({"index": index} if indexed else {})
        scores = abs(factors(rng, (heads,), factor(rng, 1e-6, 1)))
        multiplier = factors(rng, (heads * head_dim,), oracle.LIMITS[dtype] / 100)
        y = self.compute(
            "attention",
            arrays,
            ((n, heads * head_dim), dtype),
            {"score_multiplier": scores, "multiplier": multiplier},
            heads=heads,
            kv_heads=kv_heads,
            head_dim=head_dim,
            causal=causal,
            cache=None,
        )
        last = [m - 1] * n if not causal else index.tolist() if indexed else range(m)
        wanted = oracle.attention(q, k, v, last, scores, multiplier, kv_heads, dtype)
        np.testing.assert_array_equal(y, wanted)

    @several
    @given(SEEDS, st.tuples(SMALL, SMALL, SMALL, st.integers(1, 40)), DTYPES)
    def test_attention_to_visible_keys(
        self, seed: int, sizes: tuple[int, int, int, int], dtype: str
    ) -> None:
        rng = np.random.default_rng(seed)
        kv_heads, shared, head_dim, m = sizes
        n = int(rng.integers(1, 9))
        first = rng.integers(0, m, n)
        visible = np.stack([first, rng.integers(first + 1, m + 1)], axis=1)
        self.check_visible(rng, (kv_heads, shared, head_dim, m), visible, dtype)

    def check_visible(
        self,
        rng: np.random.Generator,
        sizes: tuple[int, int, int, int],
        visible: np.ndarray,
        dtype: str,
    ) -> None:
        kv_heads, shared, head_dim, m = sizes
        heads, n = kv_heads * shared, len(visible)
        arrays = {"q": codes(rng, (n, heads * head_dim), "int8")}
        arrays |= {name: codes(rng, (m, kv_heads * head_dim), "int8") for name in "kv"}
        scores = abs(factors(rng, (heads,), factor(rng, 1e-6, 1)))
        multiplier = factors(rng, (heads * head_dim,), oracle.LIMITS[dtype] / 100)
        tensors = {"score_multiplier": scores, "multiplier": multiplier}
        attrs: dict[str, Any] = {"heads": heads, "kv_heads": kv_heads, "head_dim": head_dim}
        y = self.compute(
            "attention",
            {**arrays, "visible": visible},
            ((n, heads * head_dim), dtype),
            tensors,
            causal=False,
            cache=None,
            **attrs,
        )
        first, last = visible[:, 0].tolist(), (visible[:, 1] - 1).tolist()
        wanted = oracle.attention(
            *arrays.values(), last, scores, multiplier, kv_heads, dtype, first
        )
        np.testing.assert_array_equal(y, wanted)

    @pytest.mark.parametrize(
        ("row", "message"),
        [
            ((-1, 2), "-1 is outside 0 to 7"),
            ((8, 9), "8 is outside 0 to 7"),
            ((2, 2), "2 is outside 3 to 8"),
            ((3, 1), "1 is outside 4 to 8"),
            ((0, 9), "9 is outside 1 to 8"),
            ((-(2**63), 2**63 - 1), "-9223372036854775808 is outside 0 to 7"),
        ],
    )
    def test_what_no_row_can_see(self, row: tuple[int, int], message: str) -> None:
        program = windowed("4*groups", 4, 1)
        x = np.ones((8, 4), np.int8)
        visible = np.array([[0, 8]] * 8)
        visible[5] = row
        feeds = {"q": x, "k": x, "v": x, "visible": visible}
        with pytest.raises(RunError, match=f"bound of what a row sees {message}") as caught:
            self.open_machine(program).run(feeds)
        assert caught.value.where == "y"

    def test_windows_of_several_requests(self) -> None:
        machine, rng = self.open_machine(windowed("4*groups", 8, 2)), np.random.default_rng(0)
        requests = []
        for rows in (8, 20, 4):
            feeds = {name: codes(rng, (rows, 8), "int8") for name in "qkv"}
            first = np.arange(rows) // 5 * 5
            feeds["visible"] = np.stack([first, np.minimum(first + 5, rows)], axis=1)
            requests.append(Request(feeds))
        for request, outputs in zip(requests, machine.run_batch(requests), strict=True):
            np.testing.assert_array_equal(outputs["y"], machine.run(request.inputs)["y"])

    def test_attention_among_many_rows_needs_memory_for_each(self) -> None:
        rows, head_dim = 6000, 4
        rng = np.random.default_rng(0)
        kv: tuple[Shape, str] = (("4*groups", head_dim), "int8")
        q: tuple[Shape, str] = (("2*queries", head_dim), "int8")
        tensors = {
            "score_multiplier": np.full(1, 2**-10, np.float32),
            "multiplier": np.full(head_dim, 4, np.float32),
        }
        sizes: dict[str, Any] = {"heads": 1, "kv_heads": 1, "head_dim": head_dim}
        inputs = {"q": q, "k": kv, "v": kv}
        program = single("attention", inputs, q, tensors, causal=False, **sizes)
        verify(program)
        machine = self.open_machine(program)
        feeds = {name: codes(rng, (rows, head_dim), "int8") for name in inputs}
        found: dict[str, np.ndarray] = {}
        assert peak_growth(lambda: found.update(machine.run(feeds))) < rows * rows * 2 / 3
        some = rng.integers(0, rows, 6)
        alone = machine.run({**feeds, "q": feeds["q"][some]})["y"]
        np.testing.assert_array_equal(found["y"][some], alone)
