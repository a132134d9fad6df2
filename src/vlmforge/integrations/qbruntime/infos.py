"""What clients ask of a model before they run it, and what they say of the parts of a batch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

ANY = -1
"""A dimension that each run brings."""

Shape = tuple[int, ...]


@dataclass(frozen=True)
class BatchParam:
    """A sequence of a batch, whose rows follow those of the sequences before it.

    Attributes:
        sequence_length: its rows in this run.
        cache_size: rows of its slot that it goes on behind.
        cache_id: its slot.
    """

    sequence_length: int
    cache_size: int
    cache_id: int


class BufferInfo(NamedTuple):
    """An input.

    Attributes:
        max_width: rows of a run that clients had best ask for.
        max_cache_size: rows of a slot; 0 of a model without slots.
    """

    max_width: int
    max_cache_size: int


class CacheInfo(NamedTuple):
    """The keys and values of a layer, in all slots.

    Attributes:
        cache_type: of all the same.
        name: of the layer.
        layer_hash: equal where rows may be carried over.
        size: bytes in a slot.
        num_batches: slots there are.
    """

    cache_type: str
    name: str
    layer_hash: str
    size: int
    num_batches: int


@dataclass(frozen=True)
class Variant:
    """The shapes of a model; there is one variant of each.

    Attributes:
        inputs, outputs: their shapes.
    """

    inputs: list[Shape]
    outputs: list[Shape]

    def get_model_input_shape(self) -> list[Shape]:
        """The shapes of the inputs, ``-1`` for what each run brings."""
        return list(self.inputs)

    def get_model_output_shape(self) -> list[Shape]:
        """The shapes of the outputs."""
        return list(self.outputs)
