"""Every door of a package gives the tokens of a conversation with it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from transformers import AutoModelForCausalLM, AutoModelForImageTextToText, AutoProcessor

from tests.dialogues import picture, user
from vlmforge.decode.generate import Options
from vlmforge.integrations.transformers import register
from vlmforge.run.conversation import Conversation
from vlmforge.run.session import Session
from vlmforge.serve.engine import Engine

SHORT = Options(max_new_tokens=6)
TALKS: list[list[dict[str, Any]]] = [
    [user(picture(0, (300, 100)), "How many? ", picture(1, (90, 80)))],
    [user("Look: ", picture(2, (60, 130)), "What is it?")],
]
TEXTS = [[{"role": "user", "content": text}] for text in ("How many?", "What is it?")]


def require_every_door(package: Path, *, sees: bool) -> None:
    """Engine batches, snapshots and Hugging Face's ``generate``, with prompt lookup and beams."""
    session, talks = Session.open(package), TALKS if sees else TEXTS
    conversations = [Conversation(session) for _ in talks]
    wanted = [c.generate(talk, SHORT) for c, talk in zip(conversations, talks, strict=True)]
    with Engine(session, max_running=2, prefill_tokens=20) as engine:
        assert [each.result() for each in [engine.submit(t, SHORT) for t in talks]] == wanted
    again = Conversation(session)
    again.restore(conversations[0].snapshot())
    assert again.generate(talks[0], SHORT) == wanted[0]
    require_generate(session, talks[0], list(wanted[0].token_ids), sees=sees)


def require_generate(
    session: Session, talk: list[dict[str, Any]], wanted: list[int], *, sees: bool
) -> None:
    """``generate`` of the Hugging Face classes."""
    register()
    kind = AutoModelForImageTextToText if sees else AutoModelForCausalLM
    model: Any = kind.from_pretrained(session.package.dir)
    processor: Any = AutoProcessor.from_pretrained(session.package.dir)
    batch = processor.apply_chat_template(
        talk, tokenize=True, return_dict=True, add_generation_prompt=True, return_tensors="pt"
    )
    ids = batch["input_ids"][0].tolist()
    assert ids == session.prompts.encode(talk).token_ids.tolist()
    plain: dict[str, Any] = {"max_new_tokens": 6, "do_sample": False, "repetition_penalty": 1.0}
    for further in ({}, {"prompt_lookup_num_tokens": 3}):
        found = model.generate(**batch, **plain, **further)[0, len(ids) :].tolist()
        assert found == wanted, further
    assert model.generate(**batch, **plain, num_beams=2).shape[1] <= len(ids) + 6
