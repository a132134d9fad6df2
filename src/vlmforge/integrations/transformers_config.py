"""MobilintQwen2VLConfig: ``config.json`` of a package."""

from __future__ import annotations

from transformers import Qwen2VLConfig


class MobilintQwen2VLConfig(Qwen2VLConfig):
    """The original model's configuration with the paths of its compiled programs.

    Attributes:
        mxq_path: file name of the text program; ``vision_config.mxq_path`` names the vision one.
    """

    model_type = "mobilint-qwen2_vl"

    mxq_path: str | None = None
