"""Settings: what is known of how the programs of a package were made, for its model card."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from vlmforge.publish.markdown import fenced, table

SETTINGS = {
    "product_weights": "weights of products",
    "bits_a_weight": "bits a weight, scales included",
    "product_inputs": "inputs of products",
    "bytes": "bytes of tensors",
}
"""Facts of a program, as `vlmforge inspect` shows them."""

META = {
    "cache_length": "most tokens",
    "layout": "layout of images",
    "image_size": "size of images",
    "max_pixels": "most pixels of an image",
    "rotation": "rotation R1, SHA-256",
    "calibration": "calibration data, SHA-256",
    "config": "configuration, SHA-256",
    "sums": "order of sums",
    "inference_scheme": "inference scheme",
}
"""Facts of a program's metadata."""


def weight_kinds(facts: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Kinds of the products' weights, such as ``int8``."""
    return sorted({kind.split()[0] for each in facts.values() for kind in each["product_weights"]})


def settings_table(facts: Mapping[str, Mapping[str, Any]]) -> str:
    """A row a fact, a column a program."""
    rows = []
    for key, name in SETTINGS.items():
        rows.append((name, *(_readable(each.get(key)) for each in facts.values())))
    for name, of in (
        ("transformations", _transformations),
        ("stepped aside, at least in part", _aside),
    ):
        found = [of(each["meta"]) for each in facts.values()]
        if any(found):
            rows.append((name, *map(", ".join, found)))
    for key, name in META.items():
        values = [each["meta"].get(key) for each in facts.values()]
        if any(value is not None for value in values):
            rows.append((name, *map(_readable, values)))
    return table(("", *facts), rows)


def _transformations(meta: Mapping[str, Any]) -> list[str]:
    """Those that the configuration asks for."""
    config = meta.get("compile_config")
    asked = config.get("equivalentTransformation") if isinstance(config, dict) else None
    if not isinstance(asked, dict):
        return []
    return [name for name, how in asked.items() if isinstance(how, dict) and how.get("apply")]


def _aside(meta: Mapping[str, Any]) -> list[str]:
    """Those that did not suit the graph, or a part of it."""
    aside = meta.get("aside")
    return list(map(str, aside)) if isinstance(aside, dict) else []


def _readable(value: object) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name}: {count}" for name, count in value.items())
    if isinstance(value, list):
        return " × ".join(map(str, value))
    return "" if value is None else str(value)


def configurations(facts: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """The configurations the programs were compiled with; once where they are the same."""
    found = {
        json.dumps(config, indent=2): None
        for each in facts.values()
        if isinstance(config := each["meta"].get("compile_config"), dict)
    }
    return [f"As a configuration:\n\n{fenced('json', text)}" for text in found]
