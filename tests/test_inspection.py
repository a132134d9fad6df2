"""What inspecting a program tells about its weights."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tests.run.single import single
from vlmforge.formats.mxq import MxqWriter
from vlmforge.inspection import inspect
from vlmforge.program.layout import pack, pack_group_scale, pack_int4


def test_weights_of_a_program(tmp_path: Path) -> None:
    codes = np.ones((16, 256), np.int8)
    groups = {"group_scale": pack_group_scale(np.ones((16, 2), np.int8))}
    cases = [
        (pack(codes), {}, {}, "int8", 8.0),
        (pack_int4(codes), {}, {}, "int4", 4.0),
        (pack_int4(codes), groups, {"group": 128}, "int4 in groups of 128", 4.0625),
    ]
    for weight, tensors, attrs, kind, bits in cases:
        named = {"weight": weight, "multiplier": np.ones(16, np.float32), **tensors}
        program = single(
            "linear", {"x": ((2, 256), "int8")}, ((2, 16), "int8"), named,
            in_features=256, out_features=16, **attrs,
        )  # fmt: skip
        program.component = "language"
        path = tmp_path / "program.mxq"
        with MxqWriter(path) as writer:
            for name, array in named.items():
                writer.add(name, array)
            writer.finish(program)
        facts = inspect(path)
        assert facts["product_weights"] == {kind: 1}
        assert facts["bits_a_weight"] == bits
