"""Metrics: how a server fares, as Prometheus reads it."""

from __future__ import annotations

import time
from functools import partial

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from vlmforge.decode.generate import Step
from vlmforge.serve.engine import Engine

SECONDS = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 60)


class Metrics:
    """Counters of one server.

    Args:
        engine: whose requests are counted.
    """

    def __init__(self, engine: Engine) -> None:
        self.registry = CollectorRegistry()
        counter = partial(Counter, registry=self.registry)
        seconds = partial(Histogram, registry=self.registry, buckets=SECONDS)
        self.requests = counter(
            "vlmforge_requests", "Requests by route and status", ("route", "status")
        )
        self.prompt_tokens = counter("vlmforge_prompt_tokens", "Tokens of prompts")
        self.cached_tokens = counter("vlmforge_cached_tokens", "Of these, not run again")
        self.generated_tokens = counter("vlmforge_generated_tokens", "Tokens of answers")
        self.first_token = seconds("vlmforge_first_token_seconds", "Request to first token")
        self.next_token = seconds("vlmforge_next_token_seconds", "One token to the next")
        for name, count in (("running", engine.running), ("waiting", engine.waiting)):
            Gauge(f"vlmforge_{name}", f"Answers {name}", registry=self.registry).set_function(count)

    def watch(self) -> Watch:
        """What takes the time of one answer, which is asked for now."""
        return Watch(self)

    def text(self) -> bytes:
        """All of them, in Prometheus' text format."""
        return generate_latest(self.registry)


class Watch:
    """Takes the time of an answer's steps.

    Args:
        metrics: where it goes.
    """

    def __init__(self, metrics: Metrics) -> None:
        self._metrics, self._last = metrics, time.monotonic()

    def step(self, step: Step) -> None:
        """Take note of a step, which has come now."""
        now, metrics = time.monotonic(), self._metrics
        seconds = metrics.next_token if step.prompt is None else metrics.first_token
        seconds.observe(now - self._last)
        self._last = now
        metrics.generated_tokens.inc()
        if step.prompt is not None:
            metrics.prompt_tokens.inc(step.prompt.tokens)
            metrics.cached_tokens.inc(step.prompt.cached)
