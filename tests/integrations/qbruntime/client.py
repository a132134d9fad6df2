"""What clients of the runtime pass to it, in the shapes and orders that they have."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tests.packages import HEAD_DIM, SECTIONS
from vlmforge.decode.inputs import Inputs
from vlmforge.images.patches import PatchLayout
from vlmforge.images.visual import Visual
from vlmforge.integrations.qbruntime import Accelerator, Model, ModelConfig
from vlmforge.run.session import Session

FREQUENCIES = 100.0 ** -np.linspace(0, 1, HEAD_DIM // 2)
"""Of the heads of the tiny programs."""


def launched(package: Path, component: str, mode: str = "auto", **cores: Any) -> Model:
    """A model of a package, as clients make it."""
    config = ModelConfig()
    getattr(config, f"set_{mode}_core_mode")(**cores)
    kind = "text_model" if component == "language" else "vision_transformer"
    model = Model(str(package / f"tiny_{kind}.mxq"), config)
    model.launch(Accelerator("aries-rb", 0))
    return model


def block(patches: np.ndarray) -> np.ndarray:
    """An image of one size, ``[896, 56, 6]``: last frame · 3 + color."""
    blocks = PatchLayout().blocks(patches)
    return blocks.reshape(*blocks.shape[:2], 3, 2).swapaxes(2, 3).reshape(blocks.shape)


def patches_and_angles(visual: Visual) -> list[np.ndarray]:
    """An image of any size: patches, and cosines and sines of their rows and columns."""
    slices = range(visual.grid.frames)
    patches = np.concatenate([visual.slice(index) for index in slices])
    rows, columns, _ = np.tile(PatchLayout().positions(visual.grid), len(slices))
    half = FREQUENCIES.size // 2
    turned = [np.outer(rows, FREQUENCIES[:half]), np.outer(columns, FREQUENCIES[half:])]
    angles = np.concatenate([*turned, *turned], axis=1)
    return [each[None].astype(np.float32) for each in (patches, np.cos(angles), np.sin(angles))]


def token_angles(
    positions: np.ndarray,
    frequencies: np.ndarray = FREQUENCIES,
    sections: Sequence[int] = SECTIONS,
) -> np.ndarray:
    """Packed cosines and sines of tokens, ``[1, n, 128]`` of heads of up to 64 channels."""
    angles = positions[:, :, None] * np.tile(frequencies, 2)
    ends = np.cumsum([2 * section for section in sections])[:-1]
    parts = [part[axis] for axis, part in enumerate(np.split(angles, ends, axis=2))]
    chosen = np.concatenate(parts, axis=1)
    half = chosen.shape[1] // 2
    grain = -(-chosen.shape[1] // 64) * 64
    packed = np.zeros((len(chosen), 2, grain), np.float32)
    packed[:, 0, 0 : 2 * half : 2] = np.cos(chosen[:, :half])
    packed[:, 0, 1 : 2 * half : 2] = -np.sin(chosen[:, :half])
    packed[:, 1, 0 : 2 * half : 2] = np.sin(chosen[:, half:])
    packed[:, 1, 1 : 2 * half : 2] = np.cos(chosen[:, half:])
    return packed.reshape(1, len(chosen), -1)


def embedded(session: Session, inputs: Inputs) -> np.ndarray:
    """The rows of a prompt, float32 ``[1, 1, n, hidden]``."""
    rows = session.package.embeddings[inputs.token_ids].copy()
    if inputs.rows.size:
        rows[inputs.keys < 0] = inputs.rows
    return rows[None, None]


def logits_of(session: Session, inputs: Inputs, answer: Sequence[int] = ()) -> list[np.ndarray]:
    """What a session gives: the logits of the last token, and of each of an answer behind it."""
    from vlmforge.decode.reading import extend

    given = inputs.followed_by(np.array(answer, np.int64))
    return list(extend(session.new_context(), given, len(answer) + 1))
