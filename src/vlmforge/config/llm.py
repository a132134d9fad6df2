"""How many tokens and conversations the language model is compiled for."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, StrictBool, StrictInt

from vlmforge.config.section import Section
from vlmforge.errors import ConfigError

Count = Annotated[StrictInt, Field(ge=1)] | None


class LlmConfig(Section):
    """Lengths and batch of the language model, named as qbcompiler's ``LlmConfig`` names them."""

    class Attributes(Section):
        """What holds if the section applies."""

        class Calibration(Section):
            """How the language model reads its calibration samples."""

            use_full_seq_length: StrictBool = True
            """Whether samples are read whole, as they always are."""

        class Runtime(Section):
            """What the program is run with."""

            batch_size: Count = None
            """Conversations that an engine has in the making, unless it is told otherwise."""
            dynamic_rope: StrictBool = False
            """Whether positions may vary; they are an input of every program, either way."""
            dynamic_mask: StrictBool = False
            """Whether the mask of attention is an input; no program has it."""

        max_sequence_length: Count = None
        """Most tokens of one call. A program takes as many as its cache holds."""
        max_cache_length: Count = None
        """Most tokens of the KV cache; None for as many as the decoder allows."""
        max_data_length: Count = None
        """Most tokens of one call for several conversations. A program takes any number."""
        max_core_data_length: Count = None
        """Most tokens of each of these. A program takes as many as its cache holds."""
        calibration: Calibration = Calibration()
        runtime: Runtime = Runtime()

    apply: StrictBool = False
    attributes: Attributes = Attributes()

    def cache_length(self, allowed: int) -> int:
        """Most tokens of the KV cache of a decoder that allows so many.

        Raises:
            ConfigError: it allows fewer than are asked for, or the cache would hold fewer.
        """
        if not self.apply:
            return allowed
        asked = self.attributes
        cache = asked.max_cache_length or allowed
        _require_at_most("maxCacheLength", cache, allowed, "the decoder allows")
        for key, tokens in (
            ("maxSequenceLength", asked.max_sequence_length),
            ("maxCoreDataLength", asked.max_core_data_length),
        ):
            _require_at_most(key, tokens or 1, cache, "the cache holds")
        return cache


def require_lengths(llm: LlmConfig) -> None:
    """Raise :class:`ConfigError` where the section asks for what no program does."""
    asked, path = llm.attributes, "llm.attributes"
    if not llm.apply and asked != LlmConfig.Attributes():
        what = f"{path} are given, but llm.apply is false"
        raise ConfigError(what, mend="set llm.apply to true, or leave out attributes")
    if not asked.calibration.use_full_seq_length:
        what = f"{path}.calibration.useFullSeqLength is false, but samples are read whole"
        raise ConfigError(what, mend="leave it out; --max-new-tokens makes shorter samples")
    if asked.runtime.dynamic_mask:
        what = f"{path}.runtime.dynamicMask is true, but no program takes a mask"
        raise ConfigError(what, mend="leave it out; every conversation has a cache of its own")
    if asked.max_cache_length is not None:
        llm.cache_length(asked.max_cache_length)


def _require_at_most(key: str, tokens: int, most: int, reason: str) -> None:
    if tokens > most:
        raise ConfigError(
            f"llm.attributes.{key} is {tokens}, {reason} {most} tokens",
            mend=f"choose {key} from 1 to {most}, or leave it out",
        )
