"""Prefill: prompts are read with others of about their length, so that little is padding."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch

from vlmforge.original.batch import padded

PADDED = 1.25
"""Most rows of prompts that are read together, over those that are no padding."""


def alike(lengths: Sequence[int]) -> Iterator[list[int]]:
    """Places of lengths in groups, the short ones first; each group is padded little."""
    group: list[int] = []
    for place in sorted(range(len(lengths)), key=lambda at: lengths[at]):
        whole = lengths[place] * (len(group) + 1)
        if group and whole > PADDED * (lengths[place] + sum(lengths[at] for at in group)):
            yield group
            group = []
        group.append(place)
    if group:
        yield group


def joined(caches: Sequence[Any], order: Sequence[int]) -> Any:
    """One cache of transformers of the sequences of several.

    Args:
        caches: each of as many positions for all its sequences; the last has the most.
        order: of the joined cache's sequences, those of the caches one after the other being
            counted.
    """
    whole, places = caches[-1], torch.tensor(order)
    for index, layer in enumerate(whole.layers):
        for name in ("keys", "values"):
            parts = [getattr(cache.layers[index], name) for cache in caches]
            longest = parts[-1].shape[-2]
            rows = torch.cat([padded(part, longest, -2) for part in parts])
            setattr(layer, name, rows[places.to(rows.device)])
    return whole
