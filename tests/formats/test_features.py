"""Programs of a package that do not take, or give, what the other does are refused."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.packages import dynamic_vision_program, text_program
from vlmforge.errors import PackageError
from vlmforge.formats.features import require_features
from vlmforge.program.core import Buffer, Instruction, Program


def changed(program: Program, **meta: Any) -> Program:
    return dataclasses.replace(program, meta={**program.meta, **meta})


def with_input(program: Program, name: str, width: int, **meta: Any) -> Program:
    buffers = {**program.buffers, name: Buffer(name, ("rows", width), "float32")}
    inputs = (*program.inputs, name)
    return dataclasses.replace(changed(program, **meta), inputs=inputs, buffers=buffers)


def with_table(program: Program, *shape: int) -> Program:
    """A vision program with an input of positions and its table."""
    found = with_input(program, "rows", 8, stream_inputs=["rows"], tables={"rows": "positions"})
    step = Instruction("positions", "constant", (), {"value": "positions.value"})
    table = np.zeros(shape, np.float32)
    return dataclasses.replace(
        found,
        buffers={**found.buffers, "positions": Buffer("positions", shape, "float32")},
        instructions=(step, *found.instructions),
        tensors={**found.tensors, "positions.value": table},
    )


def test_what_fits_is_taken(tmp_path: Path) -> None:
    text, vision = text_program(), dynamic_vision_program()
    require_features(text, None, tmp_path)
    require_features(text, vision, tmp_path)
    require_features(text, with_table(vision, 9, 8), tmp_path)
    width = text.meta["hidden_size"]
    deep = with_input(text, "deepstack_0", width, stream_inputs=["deepstack_0"])
    both = dataclasses.replace(vision, outputs=(*vision.outputs, vision.outputs[0]))
    require_features(deep, both, tmp_path)


@pytest.mark.parametrize(
    ("text", "vision", "what"),
    [
        ({"stream_inputs": ["deepstack_0"]}, {}, "no input 'deepstack_0'"),
        ({"stream_inputs": ["logits_index"]}, {}, "no input 'logits_index'"),
        ({"stream_inputs": ["inputs_embeds"]}, {}, "gives 0 further features, .* adds 1"),
        ({}, {"stream_inputs": ["rows"]}, "no table for 'rows'"),
        ({}, {"tables": {"rows": "patches"}}, "no table for 'rows'"),
        ({}, {"stream_inputs": ["patches"], "tables": {"patches": "a"}}, "no table for 'patches'"),
    ],
)
def test_what_does_not_fit_is_refused(
    text: dict[str, Any], vision: dict[str, Any], what: str, tmp_path: Path
) -> None:
    programs = changed(text_program(), **text), changed(dynamic_vision_program(), **vision)
    with pytest.raises(PackageError, match=what) as caught:
        require_features(*programs, tmp_path)
    assert caught.value.mend is not None


@pytest.mark.parametrize("shape", [(9, 4), (9, 2, 4)])
def test_a_table_of_another_width_is_refused(shape: tuple[int, ...], tmp_path: Path) -> None:
    with pytest.raises(PackageError, match="no table for 'rows'"):
        require_features(text_program(), with_table(dynamic_vision_program(), *shape), tmp_path)
