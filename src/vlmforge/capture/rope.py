"""The RoPE of a decoder in the one form the machine has.

``rope`` turns channel i of a head with channel i + D/2, and ``rope_lookup`` takes the angles of
contiguous runs of pairs from one axis each. Every other RoPE is this one after the channels of
queries and keys changed their places alike, which leaves all scores as they were.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from vlmforge.arithmetic.functions import cos_sin
from vlmforge.families.decoder import Decoder


@dataclass(frozen=True)
class DecoderRope:
    """Tables, and where the channels of a head were in the original.

    Attributes:
        cos, sin: float32 ``[positions, head_dim / 2]``.
        sections: pairs of each axis, one axis behind the other.
        order: the original channel at each place of a head; None where all stayed.
    """

    cos: Tensor
    sin: Tensor
    sections: tuple[int, ...]
    order: tuple[int, ...] | None

    @staticmethod
    def of(decoder: Decoder, rotary: Any, head_dim: int, positions: int) -> DecoderRope:
        """The RoPE of transformers' module, whose pairs are channels i and i + R/2 of the first R.

        Channels that it leaves alone become pairs that no position turns.

        Args:
            decoder: says which axis turns which pair.
            rotary: has ``inv_freq`` and ``attention_scaling``.
            head_dim: channels of a head, R or more.
            positions: rows of the tables, and so the longest sequence.
        """
        cos, sin = rope_tables(rotary, positions)
        axes = pair_axes(decoder, rotary)
        pairs, count = sorted(range(len(axes)), key=axes.__getitem__), len(axes)
        still = head_dim // 2 - count
        first, second = range(2 * count, 2 * count + still), range(2 * count + still, head_dim)
        order = (*pairs, *first, *(pair + count for pair in pairs), *second)
        moved = order != tuple(range(head_dim))
        sections = [axes.count(axis) for axis in sorted(set(axes))]
        sections[-1] += still
        return DecoderRope(
            torch.cat([cos[:, pairs], torch.ones(positions, still)], 1),
            torch.cat([sin[:, pairs], torch.zeros(positions, still)], 1),
            tuple(sections),
            order if moved else None,
        )


def pair_axes(decoder: Decoder, rotary: Any) -> list[int]:
    """The axis of positions, 0 to 2, that turns each pair."""
    count = len(rotary.inv_freq)
    if decoder.positions == "axis":
        return [0] * count
    sections = list(rotary.mrope_section)
    if not decoder.interleaved:
        return [axis for axis, section in enumerate(sections) for _ in range(section)]
    turns = [(pair % 3, pair < 3 * sections[pair % 3]) for pair in range(count)]
    return [axis if own else 0 for axis, own in turns]


def rope_tables(rotary: Any, positions: int) -> tuple[Tensor, Tensor]:
    """cos and sin ``[positions, pairs]``, float32, of Hugging Face's module but for the last bit.

    Args:
        rotary: a rotary embedding module, with ``inv_freq`` and ``attention_scaling``.
        positions: rows of the tables.
    """
    angles = torch.arange(positions)[:, None].float() * rotary.inv_freq[None]
    cos, sin = (each.float() * rotary.attention_scaling for each in cos_sin(angles))
    return cos, sin
