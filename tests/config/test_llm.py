"""LlmConfig: lengths and batch as qbcompiler names them, and what no program does."""

from __future__ import annotations

import json
from typing import Any

import pytest

from vlmforge.config import CompileConfig, LlmConfig, require_supported
from vlmforge.errors import ConfigError

MANUAL = """
{"llm": {"apply": true,
         "attributes": {"maxSequenceLength": 4096, "maxCacheLength": 4096,
                        "maxDataLength": 4096, "maxCoreDataLength": 128,
                        "calibration": {"useFullSeqLength": true},
                        "runtime": {"batchSize": 1, "dynamicRope": false,
                                    "dynamicMask": false}}}}
"""
"""As https://docs.mobilint.com/compiler/v1.3/en/transformer.html has it."""


def asked(**attributes: Any) -> CompileConfig:
    return CompileConfig.parse({"llm": {"apply": True, "attributes": attributes}})


def test_the_section_of_the_manual_is_honoured() -> None:
    config = CompileConfig.parse(json.loads(MANUAL))
    require_supported(config)
    assert config.llm.cache_length(16384) == 4096
    assert config.llm.attributes.runtime.batch_size == 1
    assert CompileConfig.parse(config.document()) == config


def test_a_decoder_gets_all_that_it_allows_by_default() -> None:
    for config in (CompileConfig(), asked(), asked(maxSequenceLength=4096)):
        require_supported(config)
        assert config.llm.cache_length(4096) == 4096


@pytest.mark.parametrize("key", ["maxCacheLength", "maxSequenceLength", "maxCoreDataLength"])
def test_more_than_a_decoder_allows_is_refused(key: str) -> None:
    with pytest.raises(ConfigError, match=rf"llm\.attributes\.{key} is 4097, .* 4096") as caught:
        asked(**{key: 4097}).llm.cache_length(4096)
    assert caught.value.mend is not None and f"{key} from 1 to 4096" in caught.value.mend


@pytest.mark.parametrize("key", ["maxSequenceLength", "maxCoreDataLength"])
def test_a_call_of_more_than_the_cache_holds_is_refused(key: str) -> None:
    config = asked(**{"maxCacheLength": 100, key: 101})
    with pytest.raises(ConfigError, match=f"{key} is 101, the cache holds 100 tokens"):
        require_supported(config)
    require_supported(asked(**{"maxCacheLength": 100, key: 100}))


def test_a_batch_may_have_more_tokens_than_a_cache() -> None:
    require_supported(asked(maxCacheLength=100, maxDataLength=1000, runtime={"batchSize": 16}))


@pytest.mark.parametrize(
    "attributes", [{"maxCacheLength": 512}, {"runtime": {"batchSize": 2}}], ids=["length", "batch"]
)
def test_attributes_of_a_section_that_does_not_hold_are_refused(attributes: Any) -> None:
    config = CompileConfig.parse({"llm": {"attributes": attributes}})
    with pytest.raises(ConfigError, match=r"llm\.attributes are given, but llm\.apply is false"):
        require_supported(config)
    require_supported(CompileConfig.parse({"llm": {"apply": False}}))


@pytest.mark.parametrize(
    ("attributes", "message"),
    [
        ({"calibration": {"useFullSeqLength": False}}, r"calibration\.useFullSeqLength is false"),
        ({"runtime": {"dynamicMask": True}}, r"runtime\.dynamicMask is true"),
    ],
)
def test_what_no_program_does_is_refused(attributes: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        require_supported(asked(**attributes))
    assert caught.value.mend is not None and caught.value.mend.startswith("leave it out")


@pytest.mark.parametrize("dynamic", [False, True])
def test_positions_are_an_input_either_way(dynamic: bool) -> None:
    require_supported(asked(runtime={"dynamicRope": dynamic}))


@pytest.mark.parametrize(
    "path", ["maxCacheLength", "maxSequenceLength", "maxDataLength", "maxCoreDataLength"]
)
@pytest.mark.parametrize("value", [0, -1, True, 4096.0, "4096"])
def test_a_length_is_a_whole_number(path: str, value: Any) -> None:
    with pytest.raises(ConfigError, match=rf"^llm\.attributes\.{path}\S* is "):
        asked(**{path: value})


def test_python_says_the_same() -> None:
    attributes = LlmConfig.Attributes(
        max_cache_length=4096,
        runtime=LlmConfig.Attributes.Runtime(batch_size=4),
    )
    built = CompileConfig(llm=LlmConfig(apply=True, attributes=attributes))
    assert built == asked(maxCacheLength=4096, runtime={"batchSize": 4})
