"""Presets: a word for what otherwise takes a configuration."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from enum import Enum
from pathlib import Path

from vlmforge.config import BitConfig, CompileConfig
from vlmforge.errors import ConfigError

Transformer = BitConfig.Transformer


class Weights(str, Enum):
    """Bits of the weights of products."""

    INT8 = "int8"
    """As without a configuration."""
    INT4 = "int4"
    """Groups of 128 columns, and 8 bits for the head."""


PRESETS = {
    Weights.INT8: Transformer(),
    Weights.INT4: Transformer(
        weight=Transformer.Weight(query=4, key=4, value=4, output=4, ffn=4), weight_group=128
    ),
}


def load_config(path: Path | None, weights: Weights | None = None) -> CompileConfig:
    """The configuration of a file, or the default one, with the bits of a preset.

    Raises:
        ConfigError: the file cannot be read, or says otherwise than the preset.
    """
    config = CompileConfig() if path is None else CompileConfig.load(path)
    if weights is None:
        return config
    preset = PRESETS[weights]
    for key, said, wanted in _differences(config.bit.transformer, preset):
        raise ConfigError(
            f"{key} is {said} in the configuration, and --weights {weights.value} means {wanted}",
            where=path,
            mend=f"leave out one of both: --weights, or {key}",
        )
    bit = config.bit.model_copy(update={"transformer": preset})
    return config.model_copy(update={"bit": bit})


def load_configs(
    paths: Sequence[Path], weights: Weights | None = None
) -> CompileConfig | dict[str, CompileConfig]:
    """The configuration of one file or none; of several, each by its file's name without ending.

    Raises:
        ConfigError: as :func:`load_config`, or two files have one name.
    """
    if len(paths) < 2:
        return load_config(paths[0] if paths else None, weights)
    found: dict[str, CompileConfig] = {}
    for path in paths:
        if path.stem in found:
            raise ConfigError(
                f"two configurations are called {path.stem}, as a package of each would be",
                where=path,
                mend="rename one of the files",
            )
        found[path.stem] = load_config(path, weights)
    return found


def _differences(said: Transformer, preset: Transformer) -> Iterator[tuple[str, object, object]]:
    """What a configuration sets itself, and otherwise: key, value, and the preset's value."""
    for role in sorted(said.weight.model_fields_set):
        value, wanted = getattr(said.weight, role), getattr(preset.weight, role)
        if value != wanted:
            yield f"bit.transformer.weight.{role}", value, wanted
    four = 4 in preset.weight.model_dump().values()  # groups mean nothing to 8-bit weights
    if four and said.weight_group != preset.weight_group:
        yield "bit.transformer.weightGroup", said.weight_group, preset.weight_group
