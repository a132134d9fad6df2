"""The real scale of every integer buffer of a program, those of attention operands included.

``Buffer.scale`` holds the scale of a whole tensor. Attention's operands have one scale a channel,
which the program keeps only inside multipliers; it is recovered from them here:

- rope: ``multiplier = scale_in / scale_out`` for each channel of a query or key, and
  ``offset = -centre / scale_out`` for a centred key;
- attention: ``multiplier = scale_v / scale_out`` for each channel of a value;
- queries and keys that products make: the program says them (``meta.operands``).
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from vlmforge.graph.ops import MOVES
from vlmforge.program.core import Instruction, Program

Scale = float | np.ndarray


def buffer_scales(program: Program) -> dict[str, Scale]:
    """Buffer name to its scale: a float, or float64 ``[channels]``; float buffers are left out.

    A buffer that only moves another's codes has the other's scale.
    """
    scales: dict[str, Scale] = {
        name: buffer.scale for name, buffer in program.buffers.items() if buffer.scale is not None
    }
    told = program.meta.get("operands", {})
    scales |= {name: np.asarray(found["scales"]) for name, found in told.items()}
    for step in program.instructions:
        if step.op == "rope" and step.name not in scales:
            multiplier = _tensor(program, step, "multiplier")
            scales[step.name] = scales[step.inputs[0]] / multiplier
        elif step.op == "attention" and step.inputs[2] not in scales:
            scales[step.inputs[2]] = _value_scale(program, step, scales[step.name])
        elif step.op in MOVES and step.inputs[0] in scales:
            scales.setdefault(step.name, scales[step.inputs[0]])
    return scales


def buffer_centres(program: Program, scales: Mapping[str, Scale]) -> dict[str, Scale]:
    """Buffer name to what its code 0 stands for, one or float64 ``[channels]``, if not for zero."""
    told = program.meta.get("operands", {})
    centres: dict[str, Scale] = {
        name: np.asarray(found["centres"]) for name, found in told.items() if "centres" in found
    }
    for step in program.instructions:
        if step.op == "rope" and "offset" in step.tensors:
            centres[step.name] = -_tensor(program, step, "offset") * scales[step.name]
        elif "zero_point" in step.attrs:
            centres[step.name] = -step.attrs["zero_point"] * scales[step.name]
        elif step.op in MOVES and step.inputs[0] in centres:
            centres[step.name] = centres[step.inputs[0]]
    return centres


def _value_scale(program: Program, step: Instruction, output: Scale) -> np.ndarray:
    heads, groups, dim = (step.attrs[name] for name in ("heads", "kv_heads", "head_dim"))
    multiplier = _tensor(program, step, "multiplier").reshape(groups, heads // groups, dim)
    return np.asarray(multiplier[:, 0].reshape(-1) * output)


def _tensor(program: Program, step: Instruction, role: str) -> np.ndarray:
    return program.tensors[step.tensors[role]].astype(np.float64)
