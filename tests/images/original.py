"""What transformers does to videos, without torchvision, which its class imports."""

from __future__ import annotations

import ast
import functools
import importlib.util
import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch

from vlmforge.images.patches import PatchLayout

MODULE = "transformers.models.qwen2_vl.video_processing_qwen2_vl"
TIMED = "transformers.models.qwen3_vl.video_processing_qwen3_vl"


@functools.cache
def original(name: str, module: str = MODULE) -> Any:
    """A function, or method without its class, of one of transformers' modules for videos."""
    spec = importlib.util.find_spec(module)
    assert spec is not None and spec.origin is not None
    tree = ast.parse(Path(spec.origin).read_text("utf-8"))
    found = next(n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef) and n.name == name)
    found.decorator_list, found.returns = [], None
    for argument in found.args.args:
        argument.annotation = None
    space: dict[str, Any] = {"torch": torch, "math": math, "np": np}
    exec(compile(ast.Module([found], []), spec.origin, "exec"), space)
    return space[name]


def original_patches(frames: np.ndarray, layout: PatchLayout) -> tuple[np.ndarray, list[int]]:
    """``pixel_values_videos`` and ``video_grid_thw`` of frames ``[frames, height, width, 3]``."""
    videos = torch.from_numpy(frames.transpose(0, 3, 1, 2)[None].copy())
    sizes = (layout.patch_size, layout.merge_size, layout.temporal_patch_size)
    # The class hands over videos that are contiguous, which ``view`` needs.
    patches, *grid = original("patchify")(None, videos, *sizes)
    return patches[0].numpy(), grid


def original_sampling(
    total: int, rate: float, settings: dict[str, Any], **wanted: Any
) -> list[int]:
    """Indexes of the frames sampled of a video of so many frames, ``rate`` a second."""
    processor = SimpleNamespace(
        **{"num_frames": None, "fps": None, "temporal_patch_size": 2, **settings}
    )
    metadata = SimpleNamespace(total_num_frames=total, fps=rate)
    found: list[int] = original("sample_frames")(processor, metadata, **wanted).tolist()
    return found
