"""Packages as Hugging Face models: importing this module registers their classes.

>>> import vlmforge.integrations.transformers
>>> from transformers import AutoModelForImageTextToText, AutoProcessor, pipeline
>>> model = AutoModelForImageTextToText.from_pretrained(PACKAGE)
>>> processor = AutoProcessor.from_pretrained(PACKAGE)
>>> answer = pipeline("image-text-to-text", model=PACKAGE)

Packages of plain decoders are opened by ``AutoModelForCausalLM``, ``AutoTokenizer`` and
``pipeline("text-generation")``.
"""

from __future__ import annotations

from transformers import (
    AutoConfig,
    AutoImageProcessor,
    AutoModelForCausalLM,
    AutoModelForImageTextToText,
    AutoProcessor,
    AutoTokenizer,
    Qwen2TokenizerFast,
)

from vlmforge.integrations.transformers.cache import MobilintCache
from vlmforge.integrations.transformers.config import MobilintQwen2Config, MobilintQwen2VLConfig
from vlmforge.integrations.transformers.model import (
    MobilintQwen2ForCausalLM,
    MobilintQwen2VLForConditionalGeneration,
)
from vlmforge.integrations.transformers.processor import (
    MobilintQwen2VLImageProcessor,
    MobilintQwen2VLProcessor,
)

__all__ = [
    "MobilintCache",
    "MobilintQwen2Config",
    "MobilintQwen2ForCausalLM",
    "MobilintQwen2VLConfig",
    "MobilintQwen2VLForConditionalGeneration",
    "MobilintQwen2VLImageProcessor",
    "MobilintQwen2VLProcessor",
    "register",
]


def register() -> None:
    """Make the Auto classes know packages; done on import, harmless to repeat."""
    config = MobilintQwen2VLConfig
    for each in (config, MobilintQwen2Config):
        AutoConfig.register(each.model_type, each, exist_ok=True)
        AutoTokenizer.register(each, fast_tokenizer_class=Qwen2TokenizerFast, exist_ok=True)
    AutoModelForCausalLM.register(MobilintQwen2Config, MobilintQwen2ForCausalLM, exist_ok=True)
    AutoImageProcessor.register(
        config, image_processor_classes={"pil": MobilintQwen2VLImageProcessor}, exist_ok=True
    )
    AutoProcessor.register(config, MobilintQwen2VLProcessor, exist_ok=True)
    AutoModelForImageTextToText.register(
        config, MobilintQwen2VLForConditionalGeneration, exist_ok=True
    )


register()
