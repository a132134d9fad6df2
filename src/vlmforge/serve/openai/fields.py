"""Fields: what a request may say, whatever it asks for."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, field_validator

from vlmforge.decode.generate import Options
from vlmforge.decode.grammar import Grammar
from vlmforge.decode.sampling import Sampling

MOST_ANSWERS = 16
"""Of one request."""

MOST_STOPS = 16
"""Stop strings of one request; OpenAI takes four."""

LONGEST_STOP = 1000
"""Characters of a stop string."""


class Fields(BaseModel):
    """A part of a request: unknown names are refused, as OpenAI refuses them."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)


class StreamOptions(Fields):
    """What a stream tells besides the answer."""

    include_usage: bool = False
    include_obfuscation: bool = False


Stop = Annotated[str, Field(min_length=1, max_length=LONGEST_STOP)]


class Common(Fields):
    """What every request for an answer takes.

    Of OpenAI's fields those that change nothing here are accepted: who asks, where answers are
    stored and cached.
    """

    model: str = ""
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    top_p: Annotated[float, Field(gt=0, le=1)] | None = None
    stream: bool | None = None
    user: str | None = None
    metadata: dict[str, Any] | None = None
    store: bool | None = None
    service_tier: str | None = None
    safety_identifier: str | None = None
    prompt_cache_key: str | None = None


class Asking(Common):
    """What chat and text completions both take.

    ``top_k``, ``min_p`` and ``repetition_penalty`` are those of other servers.
    """

    n: Annotated[int, Field(ge=1, le=MOST_ANSWERS)] | None = None
    seed: Annotated[int, Field(ge=-(1 << 63), lt=1 << 64)] | None = None
    top_k: Annotated[int, Field(ge=-1, lt=1 << 31)] | None = None
    min_p: Annotated[float, Field(ge=0, le=1)] | None = None
    repetition_penalty: Annotated[float, Field(gt=0, le=100)] | None = None
    frequency_penalty: Annotated[float, Field(ge=-2, le=2)] | None = None
    presence_penalty: Annotated[float, Field(ge=-2, le=2)] | None = None
    logit_bias: dict[str, Annotated[float, Field(ge=-100, le=100)]] | None = None
    stop: Stop | Annotated[list[Stop], Field(max_length=MOST_STOPS)] | None = None
    stream_options: StreamOptions | None = None

    @field_validator("logit_bias")
    @classmethod
    def _tokens(cls, biases: dict[str, float] | None) -> dict[str, float] | None:
        if biases and not all(token.isascii() and token.isdigit() for token in biases):
            raise ValueError("keys are token ids, such as {'42': -100}")
        return biases

    @property
    def answers(self) -> int:
        """How many answers are wanted."""
        return self.n or 1

    @property
    def tells_usage(self) -> bool:
        """Whether a stream ends with the number of tokens."""
        return self.stream_options is not None and self.stream_options.include_usage

    def options(
        self,
        suggested: Sampling,
        max_new_tokens: int,
        index: int = 0,
        *,
        logprobs: int | None = None,
        prompt_logprobs: int | None = None,
        grammar: Grammar | None = None,
    ) -> Options:
        """How to make one of the answers.

        Args:
            suggested: what holds where the request says nothing.
            max_new_tokens: most tokens of it.
            index: which of the answers.
            logprobs, prompt_logprobs, grammar: as of :class:`Options`.
        """
        return Options(
            max_new_tokens,
            self._sampling(suggested, index),
            tuple([self.stop] if isinstance(self.stop, str) else self.stop or ()),
            logprobs,
            prompt_logprobs,
            grammar,
        )

    def _sampling(self, suggested: Sampling, index: int) -> Sampling:
        def given(name: str) -> Any:
            value = getattr(self, name)
            return getattr(suggested, name) if value is None else value

        seed = None if self.seed is None else (self.seed + index) % (1 << 64)
        biases = {int(token): bias for token, bias in (self.logit_bias or {}).items()}
        return Sampling(
            given("repetition_penalty"),
            given("temperature"),
            max(0, given("top_k")),
            given("top_p"),
            given("min_p"),
            seed,
            biases,
            given("frequency_penalty"),
            given("presence_penalty"),
        )
