"""What a run reads and multiplies, counted by hand."""

from __future__ import annotations

import numpy as np

from tests.packages import HEAD_DIM, HEADS, HIDDEN, KV_HEADS, VOCAB, text_program
from vlmforge.bench.work import work_of
from vlmforge.program.core import Buffer, Instruction, Program
from vlmforge.program.layout import pack

KV = KV_HEADS * HEAD_DIM
SEQ_WEIGHTS = HIDDEN * (HEADS * HEAD_DIM + KV + KV) + HEADS * HEAD_DIM * HIDDEN
HEAD_WEIGHTS = HIDDEN * VOCAB


def test_every_weight_is_read_once_and_multiplied_for_every_row() -> None:
    work = work_of(text_program(), {"seq": 7, "logits": 2})
    assert work.weight_bytes == SEQ_WEIGHTS + HEAD_WEIGHTS
    assert work.operations == 2 * (7 * SEQ_WEIGHTS + 2 * HEAD_WEIGHTS)


def test_the_head_is_not_read_where_no_logits_are_wanted() -> None:
    work = work_of(text_program(), {"seq": 7, "logits": 0})
    assert work.weight_bytes == SEQ_WEIGHTS


def test_int16_inputs_count_twice_and_group_scales_are_read() -> None:
    tensors = {
        "w": np.full((1, 8, 16, 4), 0x88, np.uint8),
        "g": np.ones((1, 2, 16), np.int8),
        "m": np.ones(16, np.float32),
    }
    roles = {"weight": "w", "group_scale": "g", "multiplier": "m"}
    attrs = {"in_features": 64, "out_features": 16, "group": 32}
    buffers = {
        "x": Buffer("x", ("seq", 64), "int16", 1.0),
        "y": Buffer("y", ("seq", 16), "int16", 1.0),
    }
    product = Instruction("y", "linear", ("x",), roles, attrs)
    program = Program("language", ("x",), ("y",), buffers, (product,), tensors)
    work = work_of(program, {"seq": 3})
    assert work.operations == 2 * (2 * 3 * 64 * 16)
    assert work.weight_bytes == 8 * 16 * 4 + 2 * 16


def test_packed_padding_is_read_too() -> None:
    weight = pack(np.ones((17, 5), np.int8))
    buffers = {"x": Buffer("x", (1, 5), "int8", 1.0), "y": Buffer("y", (1, 17), "int16", 1.0)}
    attrs = {"in_features": 5, "out_features": 17}
    product = Instruction("y", "linear", ("x",), {"weight": "w"}, attrs)
    program = Program("language", ("x",), ("y",), buffers, (product,), {"w": weight})
    assert work_of(program, {}).weight_bytes == weight.nbytes == 32 * 8
    assert work_of(program, {}).operations == 2 * 5 * 17
