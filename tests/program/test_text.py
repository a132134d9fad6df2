"""The text form of a program."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from tests.machine.single import single
from vlmforge.program.core import Buffer
from vlmforge.program.layout import pack
from vlmforge.program.text import to_text


def test_one_line_an_instruction() -> None:
    tensors = {"weight": pack(np.ones((3, 5), np.int8)), "multiplier": np.ones(3, np.float32)}
    inputs, output = {"x": (("seq", 5), "int8")}, (("seq", 3), "int16")
    program = single("linear", inputs, output, tensors, in_features=5, out_features=3)
    scaled = {**program.buffers, "y": Buffer("y", ("seq", 3), "int16", 0.1234567891)}
    assert to_text(replace(program, buffers=scaled)) == (
        "test:\n"
        "  input x: int8[seq, 5]\n"
        "  y: int16[seq, 3] * 0.123457 = linear(x, weight=int8[1, 2, 16, 4],"
        " multiplier=float32[3], in_features=5, out_features=3)\n"
        "  output y\n"
    )


def test_float_attributes_are_short() -> None:
    kind = ((2,), "int16")
    program = single("requantize", {"x": kind}, kind, multiplier=float(np.float32(0.1)))
    assert "requantize(x, multiplier=0.1)" in to_text(program)
