"""The settings of a model as transformers reads them, every one accounted for."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Iterator, Mapping
from typing import Any

import transformers
from transformers import PreTrainedConfig

from vlmforge.errors import SourceError
from vlmforge.source.fields import COMMON, FIELDS, ROPE_FIELDS, Fate, Fields, Rule
from vlmforge.source.heads import require_decoder_heads, require_encoder_heads

logger = logging.getLogger(__name__)

ROPE_SPELLINGS = ("rope_parameters", "rope_scaling")


def model_config(
    architecture: str, settings: Mapping[str, Any], where: object = None
) -> PreTrainedConfig:
    """The configuration transformers makes of a ``config.json``, in float32 throughout.

    Settings that nothing knows are named in a warning.

    Args:
        architecture: a class of transformers, such as ``Qwen2VLForConditionalGeneration``.
        settings: the ``config.json``.
        where: its path, for messages.

    Raises:
        SourceError: transformers refuses a setting, or no program can compute what it asks for.
    """
    kind = getattr(transformers, architecture).config_class
    try:
        config: PreTrainedConfig = kind.from_dict(dict(settings))
    except Exception as error:  # transformers raises what it likes
        raise SourceError(
            f"transformers refuses the settings: {error}",
            where=where,
            mend="correct the setting, or take the config.json that the model was published with",
        ) from error
    for name, part in _parts(config):
        _require_honoured(name, part, settings, where)
        if name == "vision_config":
            require_encoder_heads(name, part, where)
        elif not part.sub_configs_defaults:
            require_decoder_heads(name, part, where)
        part.dtype, part.return_dict, part.output_hidden_states = "float32", True, False
    if unknown := [key for name, part in _parts(config) for key in _unknown(name, part, settings)]:
        logger.warning("%s: settings nobody knows have no effect: %s", where, ", ".join(unknown))
    return config


def _parts(config: PreTrainedConfig) -> Iterator[tuple[str, PreTrainedConfig]]:
    """The configuration and those within it, each with its key in ``config.json``."""
    yield "", config
    for name in config.sub_configs_defaults:
        yield name, getattr(config, name)


def _require_honoured(
    name: str, part: PreTrainedConfig, settings: Mapping[str, Any], where: object
) -> None:
    """Judge the settings of a part and of its RoPE; what others left at the root is not read."""
    own = {field.name for field in dataclasses.fields(part)}
    stored = _stored(name, settings)
    for field, fate in FIELDS[type(part).__name__].items():
        if field in own:
            _require(fate, getattr(part, field), _path(name, field), where)
        elif field in stored and (field in COMMON or not part.sub_configs_defaults):
            _require(fate, stored[field], _path(name, field), where)
    rope = (getattr(part, "rope_parameters", None) or {}) if "rope_parameters" in own else {}
    for field, fate in _rope_fields(name).items():
        if field in rope:
            _require(fate, rope[field], _path(name, "rope_parameters", field), where)


def _require(fate: Fate, value: Any, path: str, where: object) -> None:
    if not isinstance(fate, Rule) and not fate.admits(value):
        raise SourceError(
            f"{path} is {value!r}, which is not supported", where=where, mend=fate.mend
        )


def _unknown(name: str, part: PreTrainedConfig, settings: Mapping[str, Any]) -> Iterator[str]:
    """The settings of a part that are in no table, by their paths in ``config.json``."""
    stored = _stored(name, settings)
    known = FIELDS[type(part).__name__].keys()
    yield from (_path(name, key) for key in stored if key not in known)
    for spelling in ROPE_SPELLINGS:
        if isinstance(rope := stored.get(spelling), Mapping):
            known = _rope_fields(name).keys()
            yield from (_path(name, spelling, key) for key in rope if key not in known)


def _stored(name: str, settings: Mapping[str, Any]) -> Mapping[str, Any]:
    """A part's settings as they are stored: none of a decoder's in a flat ``config.json``."""
    return (settings.get(name) or {}) if name else settings


def _rope_fields(name: str) -> Fields:
    return ROPE_FIELDS["vision" if name == "vision_config" else "decoder"]


def _path(*keys: str) -> str:
    return ".".join(key for key in keys if key)
