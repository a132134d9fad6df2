"""HeadsSuite: heads as wide as those of the families, against the oracle, on any machine."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from tests.machine import oracle
from tests.machine.op_suite import OperationTests, codes, factors
from tests.machine.single import single
from vlmforge.dims import Shape, resolve
from vlmforge.errors import RunError
from vlmforge.program.verify import verify

WIDTHS = [72, 80, 96, 256]
"""Channels of a head: whole vectors of no, some and every instruction set."""

SHARED = [1, 4]
"""Query heads that share a kv head."""

WINDOWS = [(0, 16), (16, 49), (16, 49), (49, 51), (51, 64), (64, 74), (74, 75)]
"""What each row sees of 75 keys: whole windows, and some that an edge has cut, to one key."""


class HeadsSuite(OperationTests):
    """The tests; a subclass names the machine."""

    @pytest.mark.parametrize("dtype", ["int8", "int16"])
    @pytest.mark.parametrize("gained", [False, True])
    @pytest.mark.parametrize("group", [1, "head", "row"])
    @pytest.mark.parametrize("width", WIDTHS)
    def test_norms_of_heads(self, width: int, group: Any, gained: bool, dtype: str) -> None:
        rng, k = np.random.default_rng(width), 3 * width
        columns = {"head": width, "row": k}.get(group, group)
        x = codes(rng, (4, k), "int16")
        gain = factors(rng, (k,), oracle.LIMITS[dtype] / 3)
        attrs: dict[str, Any] = {"epsilon": 0.5, "multiplier": 900.0, "group": columns}
        tensors = {"gain": gain} if gained else {}
        y = self.compute("rms_norm", {"x": x}, ((4, k), dtype), tensors, **attrs)
        gains = gain.tolist() if gained else [900.0] * k
        np.testing.assert_array_equal(y, oracle.rms_norm(x, gains, 0.5, dtype, columns))

    @pytest.mark.parametrize("centred", [False, True])
    @pytest.mark.parametrize("width", WIDTHS)
    def test_rope(self, width: int, centred: bool) -> None:
        rng, channels = np.random.default_rng(width), 3 * width
        x, rows = codes(rng, (5, channels), "int16"), factors(rng, (5, 2, width), 0.7)
        tensors = {"multiplier": factors(rng, (channels,), 0.005)}
        if centred:
            tensors["offset"] = factors(rng, (channels,), 50.0)
        kind = ((5, channels), "int8")
        y = self.compute("rope", {"x": x, "rows": rows}, kind, tensors, head_dim=width)
        np.testing.assert_array_equal(y, oracle.rope(x, rows, head_dim=width, **tensors))

    @pytest.mark.parametrize("keys", [1, 17, 65])
    @pytest.mark.parametrize("shared", SHARED)
    @pytest.mark.parametrize("width", WIDTHS)
    def test_all_keys(self, width: int, shared: int, keys: int) -> None:
        self.check(width, shared, keys, [(0, keys)] * 2, causal=False)

    @pytest.mark.parametrize("shared", SHARED)
    @pytest.mark.parametrize("width", WIDTHS)
    def test_earlier_keys(self, width: int, shared: int) -> None:
        self.check(width, shared, 18, [(0, row + 1) for row in range(18)], causal=True)

    @pytest.mark.parametrize("shared", SHARED)
    @pytest.mark.parametrize("width", WIDTHS)
    def test_windows(self, width: int, shared: int) -> None:
        visible = {"visible": np.array(WINDOWS)}
        self.check(width, shared, WINDOWS[-1][1], WINDOWS, visible, causal=False)

    def check(
        self,
        width: int,
        shared: int,
        keys: int,
        sees: Sequence[tuple[int, int]],
        visible: dict[str, np.ndarray] | None = None,
        *,
        causal: bool,
    ) -> None:
        """Two kv heads, or one that several query heads share."""
        kv_heads, rows = 2 if shared == 1 else 1, len(sees)
        rng, heads = np.random.default_rng(width + keys), kv_heads * shared
        arrays = {"q": codes(rng, (rows, heads * width), "int8")}
        arrays |= {name: codes(rng, (keys, kv_heads * width), "int8") for name in "kv"}
        tensors = {
            "score_multiplier": abs(factors(rng, (heads,), 1e-4)),
            "multiplier": factors(rng, (heads * width,), 300.0),
        }
        sizes: dict[str, Any] = {"heads": heads, "kv_heads": kv_heads, "head_dim": width}
        kind = ((rows, heads * width), "int16")
        given = {**arrays, **(visible or {})}
        y = self.compute("attention", given, kind, tensors, causal=causal, cache=None, **sizes)
        last = [end - 1 for _, end in sees]
        wanted = oracle.attention(
            *arrays.values(), last, *tensors.values(), kv_heads, "int16", [a for a, _ in sees]
        )
        np.testing.assert_array_equal(y, wanted)

    @pytest.mark.parametrize("windows", [False, True])
    @pytest.mark.parametrize("width", WIDTHS)
    def test_no_rows(self, width: int, windows: bool) -> None:
        inputs: dict[str, tuple[Shape, str]] = {
            "q": (("queries", width), "int8"),
            "k": (("keys", width), "int8"),
            "v": (("keys", width), "int8"),
        }
        if windows:
            inputs["visible"] = (("queries", 2), "int64")
        tensors = {
            "score_multiplier": np.full(1, 2**-8, np.float32),
            "multiplier": np.full(width, 100, np.float32),
        }
        attrs: dict[str, Any] = {"heads": 1, "kv_heads": 1, "head_dim": width, "causal": False}
        kind: tuple[Shape, str] = (("queries", width), "int16")
        program = single("attention", inputs, kind, tensors, cache=None, **attrs)
        verify(program)
        machine = self.open_machine(program)

        def feeds(keys: int) -> dict[str, np.ndarray]:
            sizes = {"queries": 0, "keys": keys}
            return {name: np.ones(resolve(s, sizes), dtype) for name, (s, dtype) in inputs.items()}

        assert machine.run(feeds(9))["y"].shape == (0, width)
        with pytest.raises(RunError, match="the chunk has no rows"):
            machine.run(feeds(0))
