"""RoundingSuite: inputs on which a float32 rounding too many, or one too few, shows.

Random codes hide most differences of one unit in the last place. Here factors are chosen to put
results next to the tie between two codes, or many codes are swept, so that a fused
multiply-add, another order of operations or another polynomial changes some code.
"""

from __future__ import annotations

import numpy as np
import pytest

from tests.machine import oracle
from tests.machine.op_suite import ACTIVATIONS, OperationTests, factors
from vlmforge.program.layout import pack

COUNT = 500


def codes(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Int16 codes, none of them 0."""
    return (rng.integers(1, 32768, shape) * rng.choice([-1, 1], shape)).astype(np.int16)


def ties(rng: np.random.Generator, shape: tuple[int, ...], limit: int) -> np.ndarray:
    """Float64 numbers half way between two codes."""
    return rng.integers(-limit, limit, shape) + 0.5


class RoundingSuite(OperationTests):
    """The tests; a subclass names the machine."""

    @pytest.mark.parametrize("dtype", ["int8", "int16"])
    @pytest.mark.parametrize("biased", [False, True])
    def test_linear(self, dtype: str, biased: bool) -> None:
        rng = np.random.default_rng(0)
        x = rng.integers(-127, 128, (1, 1500)).astype(dtype) * (1 if dtype == "int8" else 256)
        x = x.astype(dtype)
        weight = rng.integers(-127, 128, (COUNT, 1500)).astype(np.int8)
        wide = "int32" if dtype == "int8" else "int64"
        bias = rng.integers(2**30, 2**31, COUNT).astype(wide) if biased else None
        sums = weight.astype(np.int64) @ x[0].astype(np.int64) + (0 if bias is None else bias)
        multiplier = (ties(rng, (COUNT,), 32767) / sums).astype(np.float32)
        tensors = {"weight": pack(weight), "multiplier": multiplier}
        tensors |= {} if bias is None else {"bias": bias}
        kind = ((1, COUNT), "int16")
        y = self.compute("linear", {"x": x}, kind, tensors, in_features=1500, out_features=COUNT)
        wanted = oracle.linear(x, weight, multiplier, bias, "int16")
        np.testing.assert_array_equal(y, wanted)

    @pytest.mark.parametrize("dtype", ["int8", "int16"])
    def test_rms_norm(self, dtype: str) -> None:
        rng = np.random.default_rng(1)
        for _ in range(8):
            x = codes(rng, (1, COUNT))
            r = 1 / np.sqrt((x.astype(float) ** 2).mean() + 0.5)
            gain = (ties(rng, (COUNT,), oracle.LIMITS[dtype]) / (x[0] * r)).astype(np.float32)
            kind = ((1, COUNT), dtype)
            y = self.compute("rms_norm", {"x": x}, kind, {"gain": gain}, epsilon=0.5)
            np.testing.assert_array_equal(y, oracle.rms_norm(x, gain.tolist(), 0.5, dtype))

    @pytest.mark.parametrize("biased", [False, True])
    def test_layer_norm(self, biased: bool) -> None:
        rng = np.random.default_rng(2)
        for _ in range(8):
            x = codes(rng, (1, COUNT))
            normal = (x[0] - x.mean()) / np.sqrt(x.astype(float).var() + 0.5)
            target = ties(rng, (COUNT,), 32767)
            gain = factors(rng, (COUNT,), 3000) if biased else target / normal
            gain = gain.astype(np.float32)
            bias = (target - normal * gain).astype(np.float32)
            tensors = {"gain": gain} | ({"bias": bias} if biased else {})
            y = self.compute("layer_norm", {"x": x}, ((1, COUNT), "int16"), tensors, epsilon=0.5)
            biases = bias.tolist() if biased else None
            wanted = oracle.layer_norm(x, gain.tolist(), biases, 0.5, "int16")
            np.testing.assert_array_equal(y, wanted)

    def test_rope(self) -> None:
        rng = np.random.default_rng(3)
        x, half = codes(rng, (20, 64)), 32
        sin, multiplier = factors(rng, (20, 64), 0.7), np.full(64, 2.0**-8, np.float32)
        partner = np.concatenate([-x[:, half:], x[:, :half]], axis=1).astype(float)
        cos = (ties(rng, x.shape, 127) * 256 - partner * sin) / x
        rows = np.stack([cos.astype(np.float32), sin], axis=1)
        tensors = {"multiplier": multiplier}
        arrays = {"x": x, "rows": rows}
        y = self.compute("rope", arrays, (x.shape, "int8"), tensors, head_dim=64)
        np.testing.assert_array_equal(y, oracle.rope(x, rows, multiplier, 64))

    @pytest.mark.parametrize("swapped", [False, True])
    def test_add(self, swapped: bool) -> None:
        """a/2 is a tie, and b's product rounds to half a unit of it but is a little more."""
        a = np.arange(8193, 16384, 2, dtype=np.int16)
        b = np.full(a.shape, 3, np.int16)
        factors = [0.5, float(np.float32(2**-12 / 3))]
        if swapped:
            a, b, factors = b, a, factors[::-1]
        left, right = factors
        y = self.compute(
            "add", {"a": a, "b": b}, (a.shape, "int16"), multiplier_a=left, multiplier_b=right
        )

        def add(i: int, j: int) -> int:
            first = oracle.f32(int(i)) * np.float32(left)
            return oracle.code(first + oracle.f32(int(j)) * np.float32(right), "int16")

        np.testing.assert_array_equal(y, oracle.elementwise(add, "int16", a, b))

    def test_mul(self) -> None:
        rng = np.random.default_rng(5)
        a, b = codes(rng, (6000,)), codes(rng, (6000,))
        scale = float(np.float32(3e-5))
        y = self.compute("mul", {"a": a, "b": b}, (a.shape, "int16"), multiplier=scale)

        def mul(i: int, j: int) -> int:
            product = oracle.f32(int(i)) * oracle.f32(int(j))
            return oracle.code(product * np.float32(scale), "int16")

        np.testing.assert_array_equal(y, oracle.elementwise(mul, "int16", a, b))

    @pytest.mark.parametrize("op", list(ACTIVATIONS))
    def test_activation(self, op: str) -> None:
        x = np.arange(-32767, 32768, 6, dtype=np.int16)
        scale, inverse = float(np.float32(4 / 32767)), float(np.float32(32767 / 4.1))
        y = self.compute(op, {"x": x}, (x.shape, "int16"), scale=scale, inverse_scale=inverse)

        def apply(i: int) -> int:
            t = oracle.f32(int(i)) * np.float32(scale)
            return oracle.code(ACTIVATIONS[op](t) * np.float32(inverse), "int16")

        np.testing.assert_array_equal(y, oracle.elementwise(apply, "int16", x))

    def test_attention(self) -> None:
        q = np.repeat(np.arange(-127, 0, dtype=np.int8)[:, None], 96, axis=1)
        k, v = np.array([[0], [127]], np.int8), np.array([[0], [127]], np.int8)
        scores = np.geomspace(2e-5, 1e-3, 96).astype(np.float32)
        multiplier = np.full(96, 500, np.float32)
        sizes = {"heads": 96, "kv_heads": 1, "head_dim": 1}
        tensors = {"score_multiplier": scores, "multiplier": multiplier}
        arrays, kind = {"q": q, "k": k, "v": v}, (q.shape, "int16")
        y = self.compute("attention", arrays, kind, tensors, causal=False, **sizes)
        wanted = oracle.attention(q, k, v, [1] * len(q), scores, multiplier, 1, "int16")
        np.testing.assert_array_equal(y, wanted)
