"""Log-probabilities as clients of OpenAI read them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from vlmforge.decode.log_probabilities import LogProbabilities
from vlmforge.serve.openai.service import Service

Told = Sequence[tuple[int, LogProbabilities | None]]
"""Tokens with theirs; the first of a prompt has none."""


def chat_logprobs(service: Service, told: Told) -> dict[str, Any]:
    """As chat completions have them."""
    content = [
        {
            **_entry(service, token, found.chosen),
            "top_logprobs": [_entry(service, *each) for each in found.top],
        }
        for token, found in told
        if found is not None
    ]
    return {"content": content, "refusal": None}


def text_logprobs(service: Service, told: Told, offset: int) -> dict[str, Any]:
    """As text completions have them.

    Args:
        service: spells the tokens.
        told: the tokens.
        offset: characters before the first.
    """
    tokens, offsets = [_name(service.spelled(token)) for token, _ in told], []
    text = b""
    for token, _ in told:
        offsets.append(offset + len(text.decode(errors="replace")))
        text += service.spelled(token)
    tops = [
        None
        if found is None
        else {_name(service.spelled(each)): value for each, value in found.top}
        for _, found in told
    ]
    return {
        "tokens": tokens,
        "token_logprobs": [None if found is None else found.chosen for _, found in told],
        "top_logprobs": tops,
        "text_offset": offsets,
    }


def _entry(service: Service, token: int, value: float) -> dict[str, Any]:
    spelled = service.spelled(token)
    return {"token": _name(spelled), "logprob": value, "bytes": list(spelled)}


def _name(spelled: bytes) -> str:
    """A token's text; of part of a character, its bytes."""
    try:
        return spelled.decode()
    except UnicodeDecodeError:
        return "bytes:" + "".join(f"\\x{byte:02x}" for byte in spelled)
