"""PrefixCache: shared beginnings are not run again, bits stay, memory is bounded."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.dialogues import counting, picture, user
from tests.machine.decoder import HIDDEN, VOCAB, decoder
from vlmforge.decode.context import Context
from vlmforge.decode.generate import Options
from vlmforge.decode.inputs import Inputs
from vlmforge.decode.prefix import PrefixCache
from vlmforge.decode.reading import fill
from vlmforge.errors import RunError
from vlmforge.images.grid import Grid
from vlmforge.machine.machine import open_machine
from vlmforge.prompt.spans import Span
from vlmforge.run.conversation import Conversation
from vlmforge.run.session import Session

SHORT = Options(max_new_tokens=4)
MACHINE = open_machine(decoder(layers=1))
TABLE = np.random.default_rng(0).normal(size=(VOCAB, HIDDEN)).astype(np.float32)


def new_context() -> Context:
    return Context(MACHINE, TABLE, 40)


def plain(*tokens: int) -> Inputs:
    return Inputs.plain(np.array(tokens, np.int64))


def with_image(before: int, key: int, after: int) -> Inputs:
    """Some tokens, an image of six, and some more."""
    keys = np.concatenate([np.arange(before), np.full(6, key), np.arange(after)])
    rows = np.random.default_rng(-key).normal(size=(6, HIDDEN)).astype(np.float32)
    token_ids, span = np.where(keys < 0, VOCAB - 1, keys), Span(before, key, Grid(1, 2, 3))
    return Inputs(token_ids, keys, rows, (span,))


@given(
    asked=st.lists(st.lists(st.integers(0, 2), min_size=1, max_size=12), min_size=1, max_size=9),
    capacity=st.integers(0, 25),
)
def test_any_order_of_prompts_keeps_the_bits_and_the_bound(
    asked: list[list[int]], capacity: int
) -> None:
    prefixes = PrefixCache(MACHINE, capacity)
    for tokens in asked:
        context = new_context()
        logits = fill(context, plain(*tokens), prefixes=prefixes)

        np.testing.assert_array_equal(logits, fill(new_context(), plain(*tokens)))
        assert context.token_ids.tolist() == tokens
        assert len(prefixes) <= capacity
        assert prefixes.known(context.keys) >= min(len(tokens), capacity)


def test_beginnings_are_held_once() -> None:
    prefixes = PrefixCache(MACHINE, 100)
    for tokens in ((1, 2, 3, 4), (1, 2, 3, 4, 5), (1, 2, 7), (1, 2, 7, 8), (9,)):
        fill(new_context(), plain(*tokens), prefixes=prefixes)

    assert len(prefixes) == len("12345789")
    assert [prefixes.known(np.array(keys)) for keys in ([1, 2, 3, 9], [1, 2, 7], [4])] == [3, 3, 0]


def test_the_least_recently_used_goes_first() -> None:
    prefixes = PrefixCache(MACHINE, 6)
    fill(new_context(), plain(1, 2, 3), prefixes=prefixes)
    fill(new_context(), plain(4, 5, 6), prefixes=prefixes)
    assert prefixes.restore(new_context(), plain(1, 2, 3, 0), 3) == 3  # used again
    fill(new_context(), plain(7, 8), prefixes=prefixes)

    assert prefixes.known(np.array([4, 5, 6])) == 0
    assert prefixes.known(np.array([1, 2, 3])) == 3 and prefixes.known(np.array([7, 8])) == 2


@pytest.mark.parametrize("capacity", [5, 100])
def test_an_image_is_reused_whole_or_not_at_all(capacity: int) -> None:
    prefixes = PrefixCache(MACHINE, capacity)
    fill(new_context(), with_image(3, -5, 2), prefixes=prefixes)
    same, other = with_image(3, -5, 4), with_image(3, -6, 4)

    for inputs, held in ((same, 3 if capacity == 5 else 11), (other, 3)):
        context = new_context()
        assert prefixes.restore(context, inputs, len(inputs) - 1) == held
        logits = fill(context, inputs, prefixes=prefixes)
        np.testing.assert_array_equal(logits, fill(new_context(), inputs))


def test_a_context_keeps_what_it_holds_beyond_the_cache() -> None:
    prefixes = PrefixCache(MACHINE, 2)
    context = new_context()
    fill(context, plain(1, 2, 3, 4), prefixes=prefixes)

    assert prefixes.restore(context, plain(1, 2, 3, 4, 5), 4) == 4


def test_another_sessions_context_is_refused() -> None:
    prefixes = PrefixCache(open_machine(decoder(layers=1)), 10)

    with pytest.raises(RunError, match="another session"):
        fill(new_context(), plain(1), prefixes=prefixes)
    with pytest.raises(RunError, match="-1 tokens"):
        PrefixCache(MACHINE, -1)


def test_a_new_conversation_runs_only_what_is_new(session: Session) -> None:
    counted = counting(session)
    prefixes = PrefixCache(counted.text, 1000)
    first, second = [user(picture(0), "What?")], [user(picture(0), "Where?")]
    Conversation(counted, prefixes).generate(first, SHORT)
    counted.text.rows.clear()
    answer = Conversation(counted, prefixes).generate(second, SHORT)

    assert counted.text.rows[0] < 20 < 64 < len(counted.inputs(second))
    assert answer == Conversation(session).generate(second, SHORT)
