"""``config.json`` of packages: the original model's with the paths of its compiled programs."""

from __future__ import annotations

from transformers import Qwen2Config, Qwen2VLConfig


class MobilintQwen2VLConfig(Qwen2VLConfig):
    """Of a package with a vision program.

    Attributes:
        mxq_path: file name of the text program; ``vision_config.mxq_path`` names the vision one.
    """

    model_type = "mobilint-qwen2_vl"

    mxq_path: str | None = None


class MobilintQwen2Config(Qwen2Config):
    """Of a package of a plain decoder.

    Attributes:
        mxq_path: file name of the text program.
    """

    model_type = "mobilint-qwen2"

    mxq_path: str | None = None
