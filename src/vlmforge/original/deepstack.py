"""Features that the first layers of an original decoder add, as transformers is given them."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import torch
from torch import Tensor


def deepstack_arguments(features: Collection[Tensor]) -> dict[str, Any]:
    """Arguments of a decoder that adds features ``[1, seq, hidden]``, one a layer.

    Every token counts as one of an image: those of text have rows of zeros.
    """
    if not features:
        return {}
    places = torch.ones(next(iter(features)).shape[:2], dtype=torch.bool)
    return {
        "visual_pos_masks": places,
        "deepstack_visual_embeds": [each.flatten(0, 1) for each in features],
    }
