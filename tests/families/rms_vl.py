"""RMS-VL, a family that nobody trained: Qwen2-VL with RMSNorm in its tower."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from torch import nn
from transformers import Qwen2VLConfig, Qwen2VLForConditionalGeneration

from vlmforge.families import qwen2_vl


class RmsVLConfig(Qwen2VLConfig):
    """Its settings are those of Qwen2-VL."""

    model_type = "rms_vl"


class RmsVLForConditionalGeneration(Qwen2VLForConditionalGeneration):
    """The original model, as transformers would have it."""

    config_class = RmsVLConfig

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        for module in list(self.model.visual.modules()):
            for name, child in list(module.named_children()):
                if isinstance(child, nn.LayerNorm):
                    setattr(module, name, nn.RMSNorm(child.normalized_shape, eps=child.eps))


KNOWN = qwen2_vl.FAMILY
assert KNOWN.tower is not None

FAMILY = replace(
    KNOWN,
    architecture="RmsVLForConditionalGeneration",
    module=__name__,
    fields={**KNOWN.fields, "RmsVLConfig": KNOWN.fields["Qwen2VLConfig"]},
    tower=replace(KNOWN.tower, norm="rms_norm"),
)
