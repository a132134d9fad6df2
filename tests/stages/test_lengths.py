"""Lengths asked for reach the program, and what opens it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.graphs import captured
from vlmforge.config import CompileConfig
from vlmforge.errors import ConfigError
from vlmforge.stages.lengths import with_lengths


def asked(**attributes: Any) -> CompileConfig:
    return CompileConfig.parse({"llm": {"apply": True, "attributes": attributes}})


def test_a_decoder_has_the_lengths_that_are_asked_for(tiny_checkpoint: Path) -> None:
    _, language, _ = captured(tiny_checkpoint)
    config = asked(maxCacheLength=300, runtime={"batchSize": 3})
    found = with_lengths(language, config.llm)
    assert found.meta == {**language.meta, "cache_length": 300, "batch_size": 3}
    assert found.nodes == language.nodes and "batch_size" not in language.meta


def test_nothing_is_asked_for_by_default(tiny_checkpoint: Path) -> None:
    _, language, vision = captured(tiny_checkpoint)
    assert with_lengths(language, CompileConfig().llm).meta == language.meta
    assert with_lengths(vision, asked(maxCacheLength=300).llm) is vision


def test_more_than_the_decoder_allows_is_refused(tiny_checkpoint: Path) -> None:
    _, language, _ = captured(tiny_checkpoint)
    most = language.meta["cache_length"]
    with pytest.raises(ConfigError, match=f"maxCacheLength is {most + 1}, the decoder allows"):
        with_lengths(language, asked(maxCacheLength=most + 1).llm)
