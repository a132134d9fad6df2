"""The settings of a model as transformers reads them, every one accounted for."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from transformers import PreTrainedConfig

from vlmforge.errors import SourceError
from vlmforge.families.family import Family
from vlmforge.families.fields import COMMON, ROPE_FIELDS, Fate, Fields, Rule
from vlmforge.families.tower import Tower
from vlmforge.source.heads import require_decoder_heads, require_encoder_heads

logger = logging.getLogger(__name__)

ROPE_SPELLINGS = ("rope_parameters", "rope_scaling")


def model_config(
    family: Family, settings: Mapping[str, Any], where: object = None
) -> PreTrainedConfig:
    """The configuration transformers makes of a ``config.json``, in float32 throughout.

    Settings that nothing knows are named in a warning.

    Args:
        family: of the model.
        settings: the ``config.json``.
        where: its path, for messages.

    Raises:
        SourceError: transformers refuses a setting, or no program can compute what it asks for.
    """
    kind = family.model_class.config_class
    try:
        config: PreTrainedConfig = kind.from_dict(dict(settings))
    except Exception as error:  # transformers raises what it likes
        raise SourceError(
            f"transformers refuses the settings: {error}",
            where=where,
            mend="correct the setting, or take the config.json that the model was published with",
        ) from error
    parts = list(_parts(family, config))
    for part in parts:
        _require_honoured(part, settings, where)
        part.require_heads(where)
        part.config.dtype, part.config.return_dict = "float32", True
        part.config.output_hidden_states = False
    if unknown := [key for part in parts for key in _unknown(part, settings)]:
        logger.warning("%s: settings nobody knows have no effect: %s", where, ", ".join(unknown))
    return config


@dataclass(frozen=True)
class _Part:
    """A configuration, perhaps within another.

    Attributes:
        name: its key in ``config.json``; empty at the root.
        config: as transformers reads it.
        fields: the fate of each of its settings.
        rope_fields: the same of those of its RoPE.
        tower: the tower it describes, if any.
        whole: the configuration that it is a part of.
    """

    name: str
    config: Any
    fields: Fields
    rope_fields: Fields
    tower: Tower | None
    whole: Any

    def stored(self, settings: Mapping[str, Any]) -> Mapping[str, Any]:
        """Its settings as they are stored: none of a decoder's in a flat ``config.json``."""
        return (settings.get(self.name) or {}) if self.name else settings

    def require_heads(self, where: object) -> None:
        if self.tower is not None:
            require_encoder_heads(self.name, self.tower, self.whole, where)
        elif not self.config.sub_configs_defaults:
            require_decoder_heads(self.name, self.config, where)


def _parts(family: Family, config: PreTrainedConfig) -> Iterator[_Part]:
    """The configuration and those within it."""
    for name in ("", *config.sub_configs_defaults):
        found = getattr(config, name) if name else config
        sees = family.tower is not None and name == family.tower.settings
        fields = family.fields[type(found).__name__]
        rope = ROPE_FIELDS["vision"] if sees else family.decoder.rope_fields
        yield _Part(name, found, fields, rope, family.tower if sees else None, config)


def _require_honoured(part: _Part, settings: Mapping[str, Any], where: object) -> None:
    """Judge the settings of a part and of its RoPE; what others left at the root is not read."""
    own = {field.name for field in dataclasses.fields(part.config)}
    stored, whole = part.stored(settings), not part.config.sub_configs_defaults
    for field, fate in part.fields.items():
        if field in own:
            _require(fate, getattr(part.config, field), _path(part.name, field), where)
        elif field in stored and (field in COMMON or whole):
            _require(fate, stored[field], _path(part.name, field), where)
    rope = getattr(part.config, "rope_parameters", None) if "rope_parameters" in own else None
    for field, fate in part.rope_fields.items():
        if rope and field in rope:
            _require(fate, rope[field], _path(part.name, "rope_parameters", field), where)


def _require(fate: Fate, value: Any, path: str, where: object) -> None:
    if not isinstance(fate, Rule) and not fate.admits(value):
        raise SourceError(
            f"{path} is {value!r}, which is not supported", where=where, mend=fate.mend
        )


def _unknown(part: _Part, settings: Mapping[str, Any]) -> Iterator[str]:
    """The settings of a part that are in no table, by their paths in ``config.json``."""
    stored = part.stored(settings)
    yield from (_path(part.name, key) for key in stored if key not in part.fields)
    for spelling in ROPE_SPELLINGS:
        if isinstance(rope := stored.get(spelling), Mapping):
            unknown = [key for key in rope if key not in part.rope_fields]
            yield from (_path(part.name, spelling, key) for key in unknown)


def _path(*keys: str) -> str:
    return ".".join(key for key in keys if key)
