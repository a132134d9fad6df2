"""Loads the original model whole, by transformers."""

from __future__ import annotations

import torch
import transformers
from transformers import PreTrainedModel
from transformers.utils.logging import disable_progress_bar

from vlmforge.errors import SourceError
from vlmforge.source.checkpoint import Checkpoint


def load_model(checkpoint: Checkpoint, dtype: torch.dtype = torch.float32) -> PreTrainedModel:
    """The model of the checkpoint's architecture, on the CPU, ready for inference.

    Raises:
        SourceError: transformers cannot load it, or a weight is missing.
    """
    disable_progress_bar()
    try:
        model, report = getattr(transformers, checkpoint.architecture).from_pretrained(
            checkpoint.path,
            dtype=dtype,
            local_files_only=True,
            use_safetensors=True,
            output_loading_info=True,
        )
    except Exception as error:  # transformers raises what it likes
        raise SourceError(
            f"transformers cannot load the model: {error}",
            where=checkpoint.path,
            mend="download the model again",
        ) from error
    if report["missing_keys"]:
        raise SourceError(
            f"the checkpoint lacks weights, such as {min(report['missing_keys'])}",
            where=checkpoint.path,
            mend="download the model again",
        )
    loaded: PreTrainedModel = model.eval()
    return loaded
