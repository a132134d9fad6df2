"""The capture of any component of any family."""

from __future__ import annotations

from vlmforge.capture.text import capture_decoder
from vlmforge.capture.vision import capture_tower
from vlmforge.families.family import VISION
from vlmforge.graph.core import Graph
from vlmforge.source.checkpoint import Checkpoint


def capture(checkpoint: Checkpoint, component: str) -> Graph:
    """The graph of a component the checkpoint has (``checkpoint.components``)."""
    return capture_tower(checkpoint) if component == VISION else capture_decoder(checkpoint)
