"""What the task of images cannot say in YAML: where a question's images are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from PIL import Image

IMAGES = Path("src/vlmforge/sample/demo")


def images(question: dict[str, Any]) -> list[Image.Image]:
    """The images of a question."""
    names = question["images"] or [question["image"]]
    return [Image.open(IMAGES / name).convert("RGB") for name in names]
