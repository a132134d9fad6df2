"""Positions are read off the angles of real models, as far as their tables reach."""

from __future__ import annotations

import numpy as np
import pytest

from tests.integrations.qbruntime.client import token_angles
from vlmforge.integrations.qbruntime.rope import Angles
from vlmforge.program.core import Instruction, Program

LENGTH = 32768


def program(frequencies: np.ndarray, sections: list[int]) -> Program:
    """One that looks up angles and does nothing else."""
    angles = np.outer(np.arange(LENGTH), frequencies)
    tables = {"cos": np.cos(angles).astype(np.float32), "sin": np.sin(angles).astype(np.float32)}
    roles = {role: role for role in tables}
    step = Instruction("rope", "rope_lookup", ("position_ids",), roles, {"sections": sections})
    return Program("language", (), (), {}, (step,), tables, {})


@pytest.mark.parametrize(
    ("theta", "sections"), [(1e6, [16, 24, 24]), (10.0, [8, 12, 12]), (5e6, [24, 20, 20])]
)
def test_positions_of_tokens(theta: float, sections: list[int]) -> None:
    half = sum(sections)
    frequencies = (theta ** -(np.arange(half) / half)).astype(np.float32)
    angles = Angles(program(frequencies, sections))
    edges = np.array([0, 1, 2, 255, 4096, LENGTH - 2, LENGTH - 1])
    random = np.random.default_rng(0).integers(0, LENGTH, (3, 300))
    positions = np.concatenate([np.tile(edges, (3, 1)), random], axis=1)

    packed = token_angles(positions.astype(np.float32), frequencies, sections)[0]

    assert angles.packed == packed.shape[1] == 2 * -(-2 * half // 64) * 64
    np.testing.assert_array_equal(angles.of_text(packed), positions)
