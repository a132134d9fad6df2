"""Processor: what makes pixels and prompts of what a family is shown."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any, Literal

QWEN2_VL = "transformers.models.qwen2_vl"


@dataclass(frozen=True)
class Processor:
    """The processors of a family that sees, in transformers.

    Attributes:
        whole: module and class of the processor of text and images.
        images: of the image processor, which needs no torchvision.
        videos: settings for videos that a checkpoint has of its own: the defaults where they are
            not those of :class:`vlmforge.formats.settings.VideoSettings`.
        shown: how videos are: whole; ``"timed"``, where their slices are shown one by one, each
            behind its time, and the pixels of all frames are bounded together (see
            :mod:`vlmforge.images.clip`); or ``"unseen"``.
        around: texts of the tokens before those of an image, and behind them, where the template
            does not write them.
        tokens: the setting of the processor of text and images that counts the tokens of a tile,
            where there are tiles.
        cut: how images become tiles, by its name in :mod:`vlmforge.images.cuts`.
    """

    whole: tuple[str, str] = (f"{QWEN2_VL}.processing_qwen2_vl", "Qwen2VLProcessor")
    images: tuple[str, str] = (
        f"{QWEN2_VL}.image_processing_pil_qwen2_vl",
        "Qwen2VLImageProcessorPil",
    )
    videos: Mapping[str, Any] = field(default_factory=dict)
    shown: Literal["whole", "timed", "unseen"] = "whole"
    around: tuple[str, str] | None = None
    tokens: str | None = None
    cut: Literal["shape", "edge"] = "shape"

    def facts(self) -> dict[str, Any]:
        """What a vision program's ``meta`` says of it."""
        facts: dict[str, Any] = {} if self.shown == "whole" else {"videos": self.shown}
        return facts if self.around is None else {**facts, "around": list(self.around)}

    @property
    def whole_class(self) -> type[Any]:
        """The class of the processor of text and images."""
        return _found(self.whole)

    @property
    def image_class(self) -> type[Any]:
        """The class of the image processor."""
        return _found(self.images)

    @property
    def classes(self) -> dict[str, str]:
        """The names of both in transformers, as settings say them, whatever resizes images."""
        return {
            "processor_class": self.whole[1],
            "image_processor_type": self.images[1].removesuffix("Pil"),
        }

    @property
    def package_classes(self) -> dict[str, str]:
        """The names of both for packages, see :mod:`vlmforge.integrations.transformers`."""
        return {kind: f"Mobilint{name}" for kind, name in self.classes.items()}


def _found(where: tuple[str, str]) -> type[Any]:
    module, name = where
    found: type[Any] = getattr(import_module(module), name)
    return found
