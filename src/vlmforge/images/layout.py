"""Layout: what pictures a package is asked to take."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Layout:
    """Pictures of one size, or of any size within bounds.

    Attributes:
        image_size: height and width in pixels that every image is resized to; None where each
            keeps about its own size and shape.
        max_pixels: of an image that keeps its size; larger ones are made smaller. By default what
            the model's processor allows, and at most :data:`MOST_CELLS` tokens.
    """

    image_size: tuple[int, int] | None = None
    max_pixels: int | None = None

    @property
    def fixed(self) -> bool:
        """Whether all images get one size."""
        return self.image_size is not None

    def facts(self) -> dict[str, Any]:
        """What calibration data say of it."""
        if self.image_size is not None:
            return {"image_size": list(self.image_size)}
        return {"layout": "dynamic", "max_pixels": self.max_pixels}

    @staticmethod
    def of(facts: dict[str, Any]) -> Layout:
        """What :meth:`facts` gave."""
        if facts.get("layout") == "dynamic":
            return Layout(max_pixels=facts.get("max_pixels"))
        height, width = facts["image_size"]
        return Layout((height, width))


MOST_CELLS = 1280
"""Most tokens of an image by default."""

FIXED = Layout((224, 224))
"""As in the tutorial: all images have 224 × 224 pixels."""

DYNAMIC = Layout()
