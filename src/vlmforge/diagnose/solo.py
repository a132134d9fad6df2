"""Solo: one instruction of a program, run by itself."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from vlmforge.machine.machine import open_machine
from vlmforge.program.core import Instruction, Program


class Solo:
    """An instruction as a program of its own, run by the same machines as any other.

    Its codes are those the whole program gives for the same inputs. Only its own tensors are
    held, so a program larger than memory can be walked through. An attention sees the rows of
    this run alone.

    Args:
        program: the program the instruction is taken from.
        step: the instruction.
    """

    def __init__(self, program: Program, step: Instruction) -> None:
        self.step = step
        inputs = tuple(dict.fromkeys(step.inputs))
        part = Program(
            program.component,
            inputs,
            (step.name,),
            {name: program.buffers[name] for name in (*inputs, step.name)},
            (step,),
            {name: program.tensors[name] for name in step.tensors.values()},
        )
        self._machine = open_machine(part)

    def __call__(self, operands: Sequence[np.ndarray]) -> np.ndarray:
        """The codes (or floats) of the instruction's buffer.

        Args:
            operands: one an input of the instruction, in order.
        """
        feeds = dict(zip(self.step.inputs, operands, strict=True))
        return self._machine.run(feeds)[self.step.name]
