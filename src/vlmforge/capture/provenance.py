"""What every graph says of the model it was captured from."""

from __future__ import annotations

from typing import Any

from vlmforge.source.checkpoint import Checkpoint


def provenance(checkpoint: Checkpoint, hidden: int) -> dict[str, Any]:
    """The facts of a graph's ``meta``; ``hidden`` is the decoder's width."""
    return {
        "model": checkpoint.model_id,
        "model_name": checkpoint.name,
        "model_fingerprint": checkpoint.fingerprint(),
        "hidden_size": hidden,
    }
