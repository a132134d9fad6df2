"""Keys of qbcompiler that have no meaning here: each is refused by name, with its reason."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from vlmforge.config import CompileConfig, EquivalentTransformationConfig
from vlmforge.config.refused import REFUSED, Refused
from vlmforge.errors import ConfigError

PAGE = (Path(__file__).parents[2] / "docs" / "config.md").read_text("utf-8")


def sections(model: type[BaseModel], path: str = "") -> Iterator[tuple[str, type[BaseModel]]]:
    """Every part of the configuration, by its path in JSON."""
    yield path, model
    for field in model.model_fields.values():
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            yield from sections(kind, f"{path}{field.alias}.")


PATHS = {section.__qualname__: path for path, section in sections(CompileConfig)}
CASES = [
    pytest.param(PATHS[section], key, why, id=f"{PATHS[section]}{key}")
    for section, keys in REFUSED.items()
    for key, why in keys.items()
]


def nested(path: str, key: str, value: Any) -> dict[str, Any]:
    for part in reversed([*filter(None, path.split(".")), key]):
        value = {part: value}
    return value


@pytest.mark.parametrize(("path", "key", "why"), CASES)
def test_it_is_refused_by_name(path: str, key: str, why: Refused) -> None:
    for value in ({"apply": False}, True, 3):
        message = f"^{re.escape(path + key)} is refused: {re.escape(why.reason)}"
        with pytest.raises(ConfigError, match=message) as caught:
            CompileConfig.parse(nested(path, key, value))
        assert caught.value.mend == why.mend


@pytest.mark.parametrize(("path", "key", "why"), CASES)
def test_the_page_says_so(path: str, key: str, why: Refused) -> None:
    where = f"`{path[:-1]}`" if path else "the top"
    rows = [line for line in PAGE.splitlines() if line.startswith("| ") and f"`{key}`" in line]
    assert any(where in row.split(" | ")[0] for row in rows)


def test_no_key_is_read_and_refused() -> None:
    for path, section in sections(CompileConfig):
        known = {str(field.alias).lower() for field in section.model_fields.values()}
        named = {key.lower() for key in REFUSED.get(section.__qualname__, {})}
        assert not known & named, path
    assert set(REFUSED) <= set(PATHS)


@pytest.mark.parametrize("spelled", ["OptimizeFFN", "OptimizeFfn", "optimize_ffn"])
def test_every_spelling_is_known(spelled: str) -> None:
    arguments: dict[str, Any] = {spelled: {"apply": True}}
    with pytest.raises(ConfigError, match=f"^{spelled} is refused: it is about the vendor's"):
        EquivalentTransformationConfig(**arguments)


def test_a_key_of_another_section_is_merely_unknown() -> None:
    with pytest.raises(ConfigError, match=r"unknown key 'calibration\.router'"):
        CompileConfig.parse({"calibration": {"router": 8}})
