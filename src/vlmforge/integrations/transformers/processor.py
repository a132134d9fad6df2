"""Processor of packages: every image becomes the fixed size the vision program was compiled for."""

from __future__ import annotations

from typing import Any

import numpy as np
from PIL.Image import Resampling
from transformers import Qwen2VLProcessor
from transformers.image_processing_backends import PilBackend
from transformers.image_utils import SizeDict
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

IMAGE_SIZE = SizeDict(height=224, width=224)
"""Pixels; what packages are compiled for."""


class MobilintQwen2VLImageProcessor(Qwen2VLImageProcessorPil):
    """Qwen2-VL's image processor with a fixed size instead of one that follows the image."""

    resample = Resampling.LANCZOS

    def resize(self, image: np.ndarray, *args: Any, **kwargs: Any) -> np.ndarray:
        """The image ``[3, height, width]`` at the compiled size, Lanczos."""
        return PilBackend.resize(self, image, IMAGE_SIZE, Resampling.LANCZOS)

    def get_number_of_image_patches(self, *args: Any, **kwargs: Any) -> int:
        """Patches of any image."""
        return (IMAGE_SIZE.height // self.patch_size) * (IMAGE_SIZE.width // self.patch_size)


class MobilintQwen2VLProcessor(Qwen2VLProcessor):
    """Tokenizer and image processor of a package; there is no video."""

    def __init__(
        self,
        image_processor: MobilintQwen2VLImageProcessor,
        tokenizer: Any,
        chat_template: str | None = None,
    ) -> None:
        chat_template = chat_template or tokenizer.chat_template
        super().__init__(image_processor, tokenizer, chat_template=chat_template)
