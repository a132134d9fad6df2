"""The capture of any component of any family."""

from __future__ import annotations

from vlmforge.capture.text import capture_decoder
from vlmforge.capture.vision import capture_tower
from vlmforge.errors import CaptureError
from vlmforge.families.family import LANGUAGE
from vlmforge.graph.core import Graph
from vlmforge.images.pictures import Pictures
from vlmforge.source.checkpoint import Checkpoint


def capture(checkpoint: Checkpoint, component: str, pictures: Pictures | None = None) -> Graph:
    """The graph of a component the checkpoint has (``checkpoint.components``).

    Args:
        checkpoint: of the model.
        component: which.
        pictures: that a vision encoder sees.

    Raises:
        CaptureError: see :func:`capture_tower`, or nothing says what pictures an encoder sees.
    """
    if component == LANGUAGE:
        return capture_decoder(checkpoint)
    if pictures is None:
        raise CaptureError("a vision encoder is captured for pictures", mend="say of which sizes")
    return capture_tower(checkpoint, pictures)
