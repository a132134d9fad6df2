"""lm-evaluation-harness finds at the server what the engine finds without one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer

from tests.clients.shown import PACKAGE, is_installed, samples
from tests.dialogues import user
from vlmforge import Engine, Options
from vlmforge.decode.log_probabilities import LogProbabilities

pytestmark = pytest.mark.skipif(
    not is_installed("lm_eval"), reason="make evaluation-tools installs it"
)


def tokens_of(text: str) -> list[int]:
    """The tokens of a text, as the tool sends them: special ones in it are such."""
    tokenizer = Tokenizer.from_file(str(PACKAGE / "tokenizer.json"))
    ids: list[int] = tokenizer.encode(text, add_special_tokens=False).ids
    return ids


def scored(engine: Engine, tokens: list[int]) -> tuple[LogProbabilities, ...]:
    """The log-probabilities of tokens, from the second on."""
    options = Options(max_new_tokens=1, prompt_logprobs=1)
    prompt = engine.submit_text(tokens, options).result(60).prompt
    assert prompt is not None
    return tuple(prompt.logprobs)


def continued(engine: Engine, context: str, continuation: str) -> list[str]:
    """How probable a continuation is, and whether the model would choose it, as the tool has it.

    White space at the end of the context counts as the continuation's.
    """
    begun = len(tokens_of(context.rstrip()))
    found = scored(engine, tokens_of(context + continuation))[begun - 1 :]
    chosen = all(each.chosen == each.top[0][1] for each in found)
    return [str(sum(each.chosen for each in found)), str(chosen)]


def test_continuations(engine: Engine, address: str, tmp_path: Path) -> None:
    found = samples("lm_eval", "scenes_choice", address, tmp_path)

    assert len(found) == 4
    for sample in found:
        pairs: list[Any] = list(sample["arguments"].values())
        expected = [continued(engine, each["arg_0"], each["arg_1"]) for each in pairs]
        assert [answer for (answer,) in sample["resps"]] == expected
    assert {answer[1] for sample in found for (answer,) in sample["resps"]} == {"True", "False"}


def test_texts(engine: Engine, address: str, tmp_path: Path) -> None:
    found = samples("lm_eval", "scenes_text", address, tmp_path)

    assert len(found) == 3
    (begin,) = tokens_of("<|im_end|>")  # stands before a text, as there is no BOS token
    for sample in found:
        tokens = tokens_of(sample["target"])
        expected = sum(each.chosen for each in scored(engine, [begin, *tokens]))
        assert sample["resps"] == [[str(expected)]]


def test_answers(engine: Engine, address: str, tmp_path: Path) -> None:
    found = samples("lm_eval", "scenes_chat", address, tmp_path)

    options = Options(max_new_tokens=40, stop=("\n",))
    answers = engine.map(([user(each["doc"]["question"])] for each in found), options)
    assert [each["resps"] for each in found] == [[[answer.text]] for answer in answers]
    assert len(found) == 3
