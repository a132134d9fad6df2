"""The original model as transformers computes it: loaded whole, or without its weights."""

from __future__ import annotations

import copy
from typing import Any

import torch
from transformers import GenerationConfig, PreTrainedModel
from transformers.utils.logging import disable_progress_bar

from vlmforge.errors import SourceError
from vlmforge.families.family import Family
from vlmforge.source.checkpoint import Checkpoint


def load_model(checkpoint: Checkpoint, dtype: torch.dtype = torch.float32) -> PreTrainedModel:
    """The model of the checkpoint's architecture, on the CPU, ready for inference.

    Raises:
        SourceError: transformers cannot load it, or a weight is missing.
    """
    disable_progress_bar()
    try:
        model, report = checkpoint.family.model_class.from_pretrained(
            checkpoint.path,
            config=copy.deepcopy(checkpoint.settings),
            dtype=dtype,
            local_files_only=True,
            use_safetensors=True,
            output_loading_info=True,
        )
    except MemoryError:
        raise
    except Exception as error:  # transformers raises what it likes
        raise SourceError(
            f"transformers cannot load the model: {error}",
            where=checkpoint.path,
            mend="take the config.json and the weights that were published together",
        ) from error
    if report["missing_keys"]:
        raise SourceError(
            f"the checkpoint lacks weights, such as {min(report['missing_keys'])}",
            where=checkpoint.path,
            mend="choose a checkpoint that holds all its weights",
        )
    loaded: PreTrainedModel = model.eval()
    return loaded


def empty_model(checkpoint: Checkpoint) -> PreTrainedModel:
    """The model without weights: float32 parameters on the ``meta`` device, RoPE on the CPU.

    Raises:
        SourceError: transformers can build no model of these settings.
    """
    config = copy.deepcopy(checkpoint.settings)
    try:
        with torch.device("meta"):
            model: PreTrainedModel = checkpoint.family.model_class(config)
        _compute_rope(model, checkpoint.family, config)
    except Exception as error:  # transformers and torch raise what they like
        raise SourceError(
            f"transformers can build no model of the settings: {error}",
            where=checkpoint.path / "config.json",
            mend="take the config.json that belongs to the weights",
        ) from error
    return model.eval()


def read_generation(model: Any, checkpoint: Checkpoint) -> None:
    """Give an empty model the settings of its answers, such as the tokens that end them.

    Raises:
        SourceError: transformers cannot read them.
    """
    if not (file := checkpoint.path / "generation_config.json").is_file():
        return
    try:
        model.generation_config = GenerationConfig.from_pretrained(checkpoint.path)
    except Exception as error:  # transformers raises what it likes
        raise SourceError(
            f"the settings of answers cannot be read: {error}",
            where=file,
            mend="take the generation_config.json that was published with the weights",
        ) from error


def _compute_rope(model: Any, family: Family, config: Any) -> None:
    """Give a model its RoPE, which no checkpoint stores."""
    for part in family.parts:
        if part.rotary is not None:
            module = model.get_submodule(part.path)
            setattr(module, part.rotary_name, part.rotary(part.part(config)))
