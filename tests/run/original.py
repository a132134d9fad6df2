"""What a package answers, computed with transformers' processors and positions in one pass."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil
from transformers.models.qwen2_vl.modeling_qwen2_vl import Qwen2VLModel

from tests.images.original import original_patches
from tests.packages import BOUNDS
from vlmforge.images.patches import PatchLayout
from vlmforge.prompt.spans import VIDEO
from vlmforge.run.session import Session

PROCESSOR = Qwen2VLImageProcessorPil(
    size={"shortest_edge": BOUNDS["min_pixels"], "longest_edge": BOUNDS["max_pixels"]}
)


class Rope:
    """What ``get_rope_index`` reads of a model."""

    config = SimpleNamespace(vision_config=SimpleNamespace(spatial_merge_size=2))
    get_vision_position_ids = Qwen2VLModel.get_vision_position_ids
    get_rope_index = Qwen2VLModel.get_rope_index


def expected_logits(session: Session, messages: list[dict[str, Any]]) -> np.ndarray:
    """float32 ``[seq, vocab]`` of a prompt; only its token ids are taken from the session."""
    token_ids, _ = session.prepare(messages)
    types = session.prompts.placeholders.types(token_ids)
    parts = [part for m in messages if not isinstance(m["content"], str) for part in m["content"]]
    shown = [_patches(part) for part in parts if part["type"] != "text"]
    embeds = session.package.embeddings[token_ids]
    embeds[types > 0] = np.concatenate([_features(session, *each) for each in shown])
    images, videos = (
        torch.tensor([grid for part, (_, grid) in zip(_seen(parts), shown, strict=True)
                      if part["type"] == kind])
        for kind in ("image", "video")
    )  # fmt: skip
    positions, _ = Rope().get_rope_index(
        torch.from_numpy(token_ids)[None],
        torch.from_numpy(types.astype(np.int32))[None],
        images if len(images) else None,
        videos if VIDEO in types else None,
    )
    feeds = {
        "inputs_embeds": embeds[None],
        "position_ids": positions[:, 0].contiguous().numpy(),
        "logits_index": np.arange(len(token_ids)),
    }
    (logits,) = session.text.run(feeds).values()
    return logits


def _seen(parts: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [part for part in parts if part["type"] != "text"]


def _patches(part: dict[str, Any]) -> tuple[np.ndarray, list[int]]:
    """Transformers' patches of an image or a video, and their grid."""
    if part["type"] == "image":
        batch = PROCESSOR(images=[part["image"]], return_tensors="np")
        return batch["pixel_values"], batch["image_grid_thw"][0].tolist()
    stills = [PROCESSOR(images=[frame], return_tensors="np") for frame in part["video"]]
    rows, columns = stills[0]["image_grid_thw"][0, 1:].tolist()
    grid = SimpleNamespace(frames=1, rows=rows // 2, columns=columns // 2)
    frames = [PatchLayout().unfold(still["pixel_values"], grid)[0] for still in stills]  # type: ignore[arg-type]
    return original_patches(np.stack(frames), PatchLayout())


def _features(session: Session, patches: np.ndarray, grid: list[int]) -> np.ndarray:
    """float32 ``[tokens, hidden]``, one run of the vision program a slice."""
    assert session.vision is not None
    frames, rows, columns = grid
    row, column = np.indices((rows, columns))
    order = np.arange(rows * columns).reshape(rows // 2, 2, columns // 2, 2)
    order = order.transpose(0, 2, 1, 3).reshape(-1)
    places = np.stack([row.reshape(-1)[order], column.reshape(-1)[order], 0 * order])
    outputs = []
    for part in np.split(patches, frames):
        feeds = {"patches": np.ascontiguousarray(part), "position_ids": places}
        outputs += session.vision.machine.run(feeds).values()
    return np.concatenate(outputs)
