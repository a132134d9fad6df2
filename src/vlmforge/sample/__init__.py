"""The bundled sample model: a small trained Qwen2-VL that answers questions about scenes."""

from __future__ import annotations

from pathlib import Path

_HERE = Path(__file__).parent


def checkpoint() -> Path:
    """Return the folder of the bundled Hugging Face checkpoint (bfloat16, 9 MB)."""
    return _HERE / "scenes-qwen2-vl"


def questions() -> Path:
    """Return the bundled demo questions: JSON lines with "image", "question" and "answer".

    Image paths are relative to that file.
    """
    return _HERE / "demo" / "questions.jsonl"
