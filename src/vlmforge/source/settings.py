"""The settings of a model as transformers reads them, every one accounted for."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Iterator, Mapping
from typing import Any

import transformers
from transformers import PreTrainedConfig

from vlmforge.errors import SourceError
from vlmforge.source.fields import COMMON, FIELDS, ROPE_FIELDS, Fields, Rule

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
            mend="correct config.json, or download the model again",
        ) from error
    for name, part in _parts(config):
        _require_honoured(name, part, where)
        part.dtype, part.return_dict, part.output_hidden_states = "float32", True, False
    if unknown := [key for name, part in _parts(config) for key in _unknown(name, part, settings)]:
        logger.warning("%s: settings nobody knows have no effect: %s", where, ", ".join(unknown))
    return config


def _parts(config: PreTrainedConfig) -> Iterator[tuple[str, PreTrainedConfig]]:
    """The configuration and those within it, each with its key in ``config.json``."""
    yield "", config
    for name in config.sub_configs_defaults:
        yield name, getattr(config, name)


def _require_honoured(name: str, part: PreTrainedConfig, where: object) -> None:
    read = {field.name for field in dataclasses.fields(part)} | COMMON.keys()
    values = {field: getattr(part, field) for field in read if hasattr(part, field)}
    _require(values, FIELDS[type(part).__name__], name, where)
    if rope := values.get("rope_parameters"):
        _require(rope, _rope_fields(name), _path(name, "rope_parameters"), where)


def _require(values: Mapping[str, Any], fields: Fields, name: str, where: object) -> None:
    for field, fate in fields.items():
        if field in values and not isinstance(fate, Rule) and not fate.admits(values[field]):
            raise SourceError(
                f"{_path(name, field)} is {values[field]!r}, which is not supported",
                where=where,
                mend=fate.mend,
            )


def _unknown(name: str, part: PreTrainedConfig, settings: Mapping[str, Any]) -> Iterator[str]:
    """The settings of a part that are in no table, by their paths in ``config.json``."""
    stored = settings.get(name) if name else settings
    if not isinstance(stored, Mapping):
        return
    known = FIELDS[type(part).__name__].keys()
    yield from (_path(name, key) for key in stored if key not in known)
    for spelling in ROPE_SPELLINGS:
        if isinstance(rope := stored.get(spelling), Mapping):
            known = _rope_fields(name).keys()
            yield from (_path(name, spelling, key) for key in rope if key not in known)


def _rope_fields(name: str) -> Fields:
    return ROPE_FIELDS["vision" if name == "vision_config" else "decoder"]


def _path(*keys: str) -> str:
    return ".".join(key for key in keys if key)
