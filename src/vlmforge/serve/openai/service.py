"""Service: what every route works with."""

from __future__ import annotations

import secrets
import time
from dataclasses import dataclass, field

from vlmforge.run.session import Session
from vlmforge.serve.engine import Engine
from vlmforge.serve.openai.failure import Failure
from vlmforge.serve.openai.media import Media
from vlmforge.serve.openai.metrics import Metrics


@dataclass(frozen=True)
class Service:
    """A package that is served.

    Attributes:
        engine: answers.
        media: reads images and videos of requests.
        model: the name that clients know the package by.
        metrics: of the engine.
        started: seconds since 1970.
    """

    engine: Engine
    media: Media
    model: str
    metrics: Metrics
    started: int = field(default_factory=lambda: int(time.time()))

    @property
    def session(self) -> Session:
        """The package, opened."""
        return self.engine.session

    @property
    def fingerprint(self) -> str:
        """What changes whenever answers may change."""
        return f"vf_{self.session.package.fingerprint[:16]}"

    def require(self, model: str) -> None:
        """Raise :class:`Failure` unless a request asks for this model, or for none by name."""
        if model not in ("", self.model):
            raise Failure(
                404,
                f"the model {model!r} does not exist; this server has {self.model!r}",
                param="model",
                code="model_not_found",
            )

    def opening(self, kind: str, name: str) -> dict[str, object]:
        """What every answer of a kind begins with, under an id of its own."""
        return {
            "id": f"{name}-{secrets.token_hex(12)}",
            "object": kind,
            "created": int(time.time()),
            "model": self.model,
            "system_fingerprint": self.fingerprint,
        }

    def spelled(self, token: int) -> bytes:
        """What a token reads as; a special one as its name."""
        name = self.session.prompts.special.get(token)
        return self.session.vocabulary.spelled(token) if name is None else name.encode()
