"""The families there are: every file of this folder that declares one, and those added."""

from __future__ import annotations

import pkgutil
from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from importlib import import_module
from typing import Any

import vlmforge.families
from vlmforge.errors import SourceError
from vlmforge.families.family import Family

RESPELLED = {
    "InternVLChatModel": "choose the same model as transformers spells it; its name ends in -hf",
}
"""Architectures of code beside the weights whose models are published for transformers, too."""

_ADDED: dict[str, Family] = {}


def families() -> Mapping[str, Family]:
    """Architecture to family."""
    return {**_declared(), **_ADDED}


def add_family(family: Family) -> None:
    """Make a family known that is declared elsewhere, for as long as the process runs."""
    _ADDED[family.architecture] = family


def declaring_module(architecture: str) -> str | None:
    """The module that declares a family, such as ``"families.qwen2_vl"``; of those added, None."""
    return None if architecture in _ADDED else _declarations()[architecture][0]


def _declared() -> Mapping[str, Family]:
    return {architecture: family for architecture, (_, family) in _declarations().items()}


@cache
def _declarations() -> Mapping[str, tuple[str, Family]]:
    """Architecture to module and family."""
    found = {}
    for module in pkgutil.iter_modules(vlmforge.families.__path__, "families."):
        family = getattr(import_module(f"vlmforge.{module.name}"), "FAMILY", None)
        if isinstance(family, Family):
            found[family.architecture] = module.name, family
    return found


def family_of(config: Mapping[str, Any], where: object = None) -> Family:
    """The family of the model that a ``config.json`` describes.

    Raises:
        SourceError: the config names no architecture, an unsupported one, or quantized weights.
    """
    if "mxq_path" in config:
        raise SourceError(
            "the directory is a compiled package, not a model",
            where=where,
            mend="name the model it was compiled from; a package runs: `vlmforge chat PACKAGE`",
        )
    named, supported = config.get("architectures"), families()
    if not (isinstance(named, list) and named and isinstance(named[0], str)):
        raise SourceError(
            "config.json names no architecture",
            where=where,
            mend=f"choose an original checkpoint of: {', '.join(supported)}",
        )
    if named[0] not in supported:
        raise SourceError(
            f"models of the architecture {named[0]} are not supported",
            where=where,
            mend=RESPELLED.get(named[0], f"choose a model of: {', '.join(supported)}"),
        )
    if "quantization_config" in config:
        raise SourceError(
            "the checkpoint is quantized already",
            where=where,
            mend="choose the original checkpoint, in bfloat16, float16 or float32",
        )
    return _with_decoder(supported[named[0]], config, where)


def _with_decoder(family: Family, config: Mapping[str, Any], where: object) -> Family:
    """The family with the decoder that a ``config.json`` names, where it may have several."""
    part = config.get(family.decoder.settings)
    named = part.get("model_type") if isinstance(part, Mapping) else None
    if not family.decoders or named is None:
        return family
    if named not in family.decoders:
        raise SourceError(
            f"{family.decoder.settings}.model_type is {named!r}, which is not supported",
            where=where,
            mend=f"choose a model whose decoder is one of: {', '.join(family.decoders)}",
        )
    return replace(family, decoder=family.decoders[named])
