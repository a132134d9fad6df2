"""Grammar: only its texts can be chosen, whatever the logits."""

from __future__ import annotations

import json
import os
import re

import numpy as np
import pytest

from vlmforge.decode.generate import Options
from vlmforge.decode.grammar import Grammar, Vocabulary
from vlmforge.decode.sampling import Sampling
from vlmforge.errors import RunError
from vlmforge.run.conversation import Conversation
from vlmforge.run.session import Session

MESSAGES = [{"role": "user", "content": "Which one?"}]
SCHEMA = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "maxLength": 5},
        "count": {"type": "integer", "minimum": 0, "maximum": 99},
        "kind": {"enum": ["a", "bb", None]},
    },
    "required": ["name", "count", "kind"],
    "additionalProperties": False,
}


def answer(session: Session, grammar: Grammar, seed: int) -> str:
    options = Options(200, Sampling(temperature=3.0, seed=seed), grammar=grammar)
    found = Conversation(session).generate(MESSAGES, options)
    assert found.finish == "stop"
    return found.text


@pytest.mark.parametrize("seed", range(5))
def test_answers_fit_a_schema(session: Session, seed: int) -> None:
    text = answer(session, Grammar.json_schema(SCHEMA), seed)
    value = json.loads(text)

    assert set(value) == {"name", "count", "kind"} and len(value["name"]) <= 5
    assert value["count"] in range(100) and value["kind"] in ("a", "bb", None)
    assert json.dumps(value, ensure_ascii=False) == text or "\\" in text


def test_answers_match_a_pattern_and_a_grammar(session: Session) -> None:
    assert re.fullmatch("[0-9]{3}-(yes|no)", answer(session, Grammar.regex("[0-9]{3}-(yes|no)"), 1))
    source = 'start: "<" %json {"enum": [1, 22]} ">"'
    assert answer(session, Grammar.lark(source), 2) in ("<1>", "<22>")


def test_a_json_object_is_one(session: Session) -> None:
    options = Options(60, grammar=Grammar.json_object())

    assert Conversation(session).generate(MESSAGES, options).text.startswith("{")


def test_an_answer_that_may_end_ends_with_a_stop_token(session: Session) -> None:
    stop = min(session.stop_tokens)
    sampling = Sampling(logit_bias={stop: 100.0})
    options = Options(9, sampling, grammar=Grammar.regex("a*"))

    assert Conversation(session).generate(MESSAGES, options).token_ids == (stop,)


@pytest.mark.parametrize(
    ("grammar", "said"),
    [
        (Grammar.json_schema({"type": "obj"}), "Invalid type: obj"),
        (Grammar.json_schema({"if": {}}), "if"),
        (Grammar.json_schema({"$ref": "https://example.com/schema"}), "https://example.com/schema"),
        (Grammar.json_schema({"$ref": "file:///etc/passwd"}), "file:///etc/passwd"),
        (Grammar.regex("(("), "regex"),
        (Grammar.lark("start: x"), "x"),
        (Grammar.json_schema({"enum": ["x" * (1 << 20)]}), "characters"),
        (Grammar.json_schema({"x-guidance": {"lenient": True}, "if": {}}), "if"),
    ],
)
def test_what_cannot_be_used_is_refused_before_the_work(
    session: Session, grammar: Grammar, said: str
) -> None:
    with pytest.raises(RunError, match=re.escape(said)):
        session.new_decoder(Options(grammar=grammar), 1)


def test_logits_beyond_the_vocabulary_are_never_chosen(session: Session) -> None:
    tokenizer = session.prompts.tokenizer
    vocabulary = Vocabulary(tokenizer, 400, session.stop_tokens)
    constraint = vocabulary.constraint(Grammar.regex("[ab]"))

    allowed = constraint.allowed(np.zeros(400, np.float32))

    tokens = np.flatnonzero(np.isfinite(allowed)).tolist()
    assert sorted(tokenizer.decode([token]) for token in tokens) == ["a", "b"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="processes are not forked here")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_forked_process_computes_its_own_masks(session: Session) -> None:
    answer(session, Grammar.regex("[ab]"), 0)
    if (child := os.fork()) == 0:
        os._exit(0 if answer(session, Grammar.regex("[ab]"), 0) in "ab" else 1)

    assert os.waitpid(child, 0)[1] == 0
