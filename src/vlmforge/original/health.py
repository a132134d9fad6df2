"""Weights that cannot be what their author meant are refused before any work is done on them."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from math import prod
from pathlib import Path
from typing import Any

import torch
from torch import nn

from vlmforge.errors import SourceError
from vlmforge.original.model import empty_model
from vlmforge.progress import Progress
from vlmforge.source.checkpoint import Checkpoint
from vlmforge.source.heads import BELONGS

logger = logging.getLogger(__name__)

BLOCK = 1 << 23
"""Elements looked at at once."""

COMPUTED = ".inv_freq"
"""Ends the names of tensors that older releases stored and newer ones compute."""

Shape = tuple[int, ...]


def require_healthy(checkpoint: Checkpoint, progress: Progress | None = None) -> None:
    """Every weight is there, of the shape the settings ask for, and finite.

    Weights that the model does not use are named in a warning.

    Raises:
        SourceError: a weight is missing, of another shape or dtype, or holds NaN or infinity.
    """
    expected = _expected_shapes(checkpoint)
    for name, shape in expected.items():
        _require_shape(checkpoint, name, shape)
    unused = [n for n in checkpoint.names() if n not in expected and not n.endswith(COMPUTED)]
    if unused:
        where = checkpoint.holder(unused[0])
        logger.warning("%s: %d weights are not used, such as %s", where, len(unused), unused[0])
    _require_finite(checkpoint, expected, progress)


def _expected_shapes(checkpoint: Checkpoint) -> dict[str, Shape]:
    """Canonical name to shape of every weight of the model that the settings describe."""
    canonical, model = checkpoint.family.canonical, empty_model(checkpoint)
    where, decoder = checkpoint.path / "config.json", checkpoint.family.decoder
    for part in checkpoint.family.parts:
        if part.rotary is not None:
            rotary = model.get_submodule(f"{part.path}.{part.rotary_name}")
            _require_finite_rope(rotary, where)
    if decoder.positions == "mrope":
        _require_sections(model.get_submodule(f"{decoder.path}.{decoder.rotary_name}"), where)
    weights = model.state_dict()
    return {canonical(name): tuple(tensor.shape) for name, tensor in weights.items()}


def _require_finite_rope(rotary: nn.Module, where: Path) -> None:
    """Frequencies that no checkpoint stores, and so computed from settings alone."""
    if not rotary.get_buffer("inv_freq").isfinite().all():
        raise SourceError(
            "the settings of RoPE give frequencies that are no finite numbers",
            where=where,
            mend=f"correct rope_theta and its like, or {BELONGS}",
        )


def _require_sections(rotary: Any, where: Path) -> None:
    """The sections of M-RoPE, which transformers makes up where the settings do not say them."""
    sections, pairs = list(rotary.mrope_section), len(rotary.inv_freq)
    if sum(sections) != pairs:
        raise SourceError(
            f"rope_parameters.mrope_section is {sections}, as nothing is said, "
            f"which does not fill half a head of {2 * pairs} channels",
            where=where,
            mend=f"add it to rope_parameters, or {BELONGS}",
        )


def _require_shape(checkpoint: Checkpoint, name: str, shape: Shape) -> None:
    checkpoint.dtype(name)
    stored = checkpoint.shape(name)
    if stored == shape:
        return
    raise SourceError(
        f"the weight {name} is {list(stored)}, and the settings ask for {list(shape)}",
        where=checkpoint.holder(name),
        mend="choose a checkpoint whose weights belong to each other and to their config.json",
    )


def _require_finite(
    checkpoint: Checkpoint, expected: Mapping[str, Shape], progress: Progress | None
) -> None:
    total, done = sum(map(prod, expected.values())), 0
    for name, shape in expected.items():
        for rows in _blocks(checkpoint, name, shape):
            if not rows.isfinite().all():
                value = rows[~rows.isfinite()][0].item()
                raise SourceError(
                    f"the weight {name} holds {value}, which is no finite number",
                    where=checkpoint.holder(name),
                    mend="download the file again; if that is no help, choose another model",
                )
            done += rows.numel()
            if progress is not None:
                progress("looking at weights", done, total)


def _blocks(checkpoint: Checkpoint, name: str, shape: Shape) -> Iterator[torch.Tensor]:
    step = max(1, BLOCK // max(1, prod(shape[1:])))
    for start in range(0, shape[0], step):
        yield checkpoint.rows(name, start, min(start + step, shape[0]))
