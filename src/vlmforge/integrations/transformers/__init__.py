"""Packages as Hugging Face models: importing this module registers their classes.

>>> import vlmforge.integrations.transformers
>>> from transformers import AutoModelForImageTextToText, AutoProcessor, pipeline
>>> model = AutoModelForImageTextToText.from_pretrained(PACKAGE)
>>> processor = AutoProcessor.from_pretrained(PACKAGE)
>>> answer = pipeline("image-text-to-text", model=PACKAGE)

Packages of plain decoders are opened by ``AutoModelForCausalLM``, ``AutoTokenizer`` and
``pipeline("text-generation")``. All of them take ``verify_key``, the file of a public key with
which the package has to be signed; pipelines do so as ``model_kwargs={"verify_key": ...}``.
"""

from __future__ import annotations

from typing import Any

from vlmforge.libraries import require_libraries

require_libraries(__name__)

from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoModelForImageTextToText,
    AutoModelForMultimodalLM,
    AutoProcessor,
    AutoTokenizer,
    Qwen2TokenizerFast,
)

# Without torchvision, earlier releases have it there alone, though it opens other classes as well.
from transformers.models.auto.image_processing_auto import AutoImageProcessor

from vlmforge.families.family import Family
from vlmforge.families.registry import families
from vlmforge.integrations.transformers.cache import MobilintCache
from vlmforge.integrations.transformers.config import config_class
from vlmforge.integrations.transformers.model import MobilintModel, model_class
from vlmforge.integrations.transformers.packages import serve
from vlmforge.integrations.transformers.processor import (
    IMAGE_PROCESSORS,
    MobilintGotOcr2ImageProcessor,
    MobilintQwen2VLImageProcessor,
    MobilintSmolVLMImageProcessor,
    processor_class,
)
from vlmforge.integrations.transformers.verified import verifying

AUTO = (
    AutoConfig,
    AutoImageProcessor,
    AutoModelForCausalLM,
    AutoModelForImageTextToText,
    AutoModelForMultimodalLM,
    AutoProcessor,
    AutoTokenizer,
)
"""The Auto classes that open packages."""

__all__ = [
    "MobilintCache",
    "MobilintGotOcr2ImageProcessor",
    "MobilintModel",
    "MobilintQwen2VLImageProcessor",
    "MobilintSmolVLMImageProcessor",
    "register",
]

_REGISTERED: dict[str, type[Any]] = {}


def __getattr__(name: str) -> Any:
    """The configurations, models and processors of packages, by their names."""
    if name not in _REGISTERED:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return _REGISTERED[name]


def register() -> None:
    """Make the Auto classes know the packages of every family; done on import."""
    for family in families().values():
        if family.package_architecture not in _REGISTERED:
            _register(family)
    for auto in AUTO:
        verifying(auto)


def _register(family: Family) -> None:
    config = config_class(family)
    model = model_class(family, config)
    _REGISTERED.update({config.__name__: config, model.__name__: model})
    AutoConfig.register(family.package_type, config, exist_ok=True)
    AutoTokenizer.register(config, fast_tokenizer_class=Qwen2TokenizerFast, exist_ok=True)
    if family.tower is None:
        AutoModelForCausalLM.register(config, model, exist_ok=True)
        return
    classes = family.processor.package_classes
    images, name = IMAGE_PROCESSORS[classes["image_processor_type"]], classes["processor_class"]
    AutoImageProcessor.register(config, image_processor_classes={"pil": images}, exist_ok=True)
    if name not in _REGISTERED:
        _REGISTERED[name] = processor_class(family.processor)
    AutoProcessor.register(config, _REGISTERED[name], exist_ok=True)
    for auto in (AutoModelForImageTextToText, AutoModelForMultimodalLM):
        auto.register(config, model, exist_ok=True)
    serve(AutoImageProcessor, family.package_type, images)
    serve(AutoProcessor, family.package_type, _REGISTERED[name])


register()
