"""What the task of images cannot say in YAML: where a question's image is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from PIL import Image

IMAGES = Path("src/vlmforge/sample/demo")


def image(question: dict[str, Any]) -> list[Image.Image]:
    """The image of a question."""
    return [Image.open(IMAGES / question["image"]).convert("RGB")]
