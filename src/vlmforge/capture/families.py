"""Which function captures which component of which architecture."""

from __future__ import annotations

from collections.abc import Callable

from vlmforge.capture import qwen2, qwen2_vl
from vlmforge.graph.core import Graph
from vlmforge.source.checkpoint import Checkpoint

CAPTURES: dict[tuple[str, str], Callable[[Checkpoint], Graph]] = {
    ("Qwen2VLForConditionalGeneration", "language"): qwen2_vl.capture_language,
    ("Qwen2VLForConditionalGeneration", "vision"): qwen2_vl.capture_vision,
    ("Qwen2ForCausalLM", "language"): qwen2.capture_language,
}
"""Architecture and component to the function that captures it."""


def capture(checkpoint: Checkpoint, component: str) -> Graph:
    """The graph of a component the checkpoint has (``checkpoint.components``)."""
    return CAPTURES[checkpoint.architecture, component](checkpoint)
