"""Which module of the original model has the same output as a node."""

from __future__ import annotations

import re
from dataclasses import dataclass

from torch import Tensor

Table = tuple[tuple[str, str], ...]
"""Pattern of node names to the path of a module."""


@dataclass(frozen=True)
class Counterpart:
    """A module of the original model, perhaps some channels of its output.

    Attributes:
        module: its path.
        channels: start and stop; None for all.
    """

    module: str
    channels: tuple[int, int] | None = None

    @staticmethod
    def parse(text: str) -> Counterpart:
        """What :meth:`__str__` gives."""
        found = re.fullmatch(r"(.*)\[(\d+):(\d+)\]", text)
        return Counterpart(text) if found is None else _sliced(*found.groups())

    def __str__(self) -> str:
        """The path, with the channels in brackets behind it: ``attn.qkv[64:128]``."""
        return self.module + ("" if self.channels is None else "[{}:{}]".format(*self.channels))

    def of(self, output: Tensor) -> Tensor:
        """The channels of the module's output."""
        return output if self.channels is None else output[..., slice(*self.channels)]


def _sliced(module: str, start: str, stop: str) -> Counterpart:
    return Counterpart(module, (int(start), int(stop)))


def module_of(node: str, table: Table) -> str | None:
    """The module path that the first matching pattern gives for a node's name, or None."""
    for pattern, module in table:
        if match := re.fullmatch(pattern, node):
            return match.expand(module)
    return None
