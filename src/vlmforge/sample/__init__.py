"""The bundled sample models: small trained VLMs that answer questions about scenes."""

from __future__ import annotations

from pathlib import Path

_HERE = Path(__file__).parent

FAMILIES = ("qwen2-vl", "qwen3-vl")
"""Of which there is a sample."""


def checkpoint(family: str = FAMILIES[0]) -> Path:
    """Return the folder of a bundled Hugging Face checkpoint (bfloat16, about 10 MB).

    Raises:
        ValueError: the family is none of :data:`FAMILIES`.
    """
    if family not in FAMILIES:
        raise ValueError(f"there is no sample of {family!r}, only of {' and '.join(FAMILIES)}")
    return _HERE / f"scenes-{family}"


def questions() -> Path:
    """Return the bundled demo questions: JSON lines with "image", "question" and "answer".

    Image paths are relative to that file.
    """
    return _HERE / "demo" / "questions.jsonl"
