"""Talk: the messages of a chat request, as chat templates and image processors take them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from pydantic import field_validator, model_validator

from vlmforge.prompt.messages import Message
from vlmforge.serve.openai.fields import Fields
from vlmforge.serve.openai.media import Media
from vlmforge.serve.openai.tools import ToolCall

ROLES = {"developer": "system"}
"""Roles that chat templates know by another name."""


class Place(Fields):
    """Where an image or video is: a data URL, or as the server allows."""

    url: str
    detail: Literal["auto", "low", "high"] | None = None


class Part(Fields):
    """A part of a message."""

    type: Literal["text", "image_url", "video_url", "refusal"]
    text: str | None = None
    image_url: Place | None = None
    video_url: Place | None = None
    refusal: str | None = None

    @field_validator("image_url", "video_url", mode="before")
    @classmethod
    def _bare(cls, value: Any) -> Any:
        return {"url": value} if isinstance(value, str) else value

    @model_validator(mode="after")
    def _own(self) -> Part:
        if getattr(self, self.type) is None:
            raise ValueError(f"a part of type {self.type} has no {self.type}")
        return self

    def shown(self, media: Media) -> dict[str, Any]:
        """As chat templates take it; raises :class:`ImageError`."""
        if self.image_url is not None:
            image = media.image(self.image_url.url, self.image_url.detail or "auto")
            return {"type": "image", "image": image}
        if self.video_url is not None:
            return {"type": "video", "video": media.video(self.video_url.url)}
        return {"type": "text", "text": self.text or self.refusal or ""}


class ChatMessage(Fields):
    """A turn of a conversation; what clients send back of an answer may be within it."""

    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: str | list[Part] | None = None
    name: str | None = None
    tool_calls: list[ToolCall] | None = None
    tool_call_id: str | None = None
    refusal: str | None = None
    reasoning_content: str | None = None
    annotations: list[Any] | None = None
    audio: None = None
    function_call: None = None

    @model_validator(mode="after")
    def _said(self) -> ChatMessage:
        if self.content is None and not (self.role == "assistant"):
            raise ValueError(f"a message of the {self.role} has no content")
        return self

    def shown(self, media: Media, sees: bool) -> Message:
        """As chat templates take it.

        Args:
            media: reads what is shown.
            sees: whether the model has a vision program; those of others take texts alone.

        Raises:
            ImageError: what is shown cannot be read, or may not be.
        """
        found: dict[str, Any] = {"role": ROLES.get(self.role, self.role)}
        found["content"] = self._content(media, sees)
        for name in ("name", "tool_call_id"):
            if (value := getattr(self, name)) is not None:
                found[name] = value
        if self.tool_calls:
            found["tool_calls"] = [call.shown() for call in self.tool_calls]
        return found

    def _content(self, media: Media, sees: bool) -> str | list[dict[str, Any]]:
        if not isinstance(self.content, list):
            return self.content or ""
        parts = [part.shown(media) for part in self.content]
        if all(part["type"] == "text" for part in parts) and (not sees or self.role == "tool"):
            return "\n".join(part["text"] for part in parts)
        return parts


def shown(messages: Sequence[ChatMessage], media: Media, sees: bool) -> list[Message]:
    """The messages as chat templates take them; raises :class:`ImageError`."""
    return [message.shown(media, sees) for message in messages]
