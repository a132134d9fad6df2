"""Sampling filters equal Hugging Face's, and draws follow the filtered distribution."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers.generation import logits_process as hf

from vlmforge.decode.sampling import Sampler, Sampling, penalize, probabilities
from vlmforge.errors import RunError

NOTHING = np.empty(0, np.int64)
LOGITS = np.random.default_rng(1).normal(scale=3, size=50).astype(np.float32)


def hugging_face(logits: np.ndarray, seen: np.ndarray, sampling: Sampling) -> np.ndarray:
    ids, scores = torch.from_numpy(seen)[None], torch.from_numpy(logits)[None]
    processors: list[Any] = [hf.RepetitionPenaltyLogitsProcessor(sampling.repetition_penalty)]
    processors.append(hf.TemperatureLogitsWarper(sampling.temperature))
    if sampling.top_k:
        processors.append(hf.TopKLogitsWarper(sampling.top_k))
    if sampling.top_p < 1:
        processors.append(hf.TopPLogitsWarper(sampling.top_p))
    if sampling.min_p:
        processors.append(hf.MinPLogitsWarper(sampling.min_p))
    return torch.softmax(hf.LogitsProcessorList(processors)(ids, scores), -1)[0].numpy()


@given(
    st.integers(0, 2**32 - 1),
    st.builds(
        Sampling,
        repetition_penalty=st.sampled_from([1.0, 1.3, 0.8]),
        temperature=st.sampled_from([0.3, 1.0, 2.5]),
        top_k=st.sampled_from([0, 1, 7, 500]),
        top_p=st.sampled_from([1.0, 0.9, 0.31, 0.001]),
        min_p=st.sampled_from([0.0, 0.04, 0.9]),
    ),
)
def test_equals_hugging_face(seed: int, sampling: Sampling) -> None:
    random = np.random.default_rng(seed)
    logits, seen = random.normal(scale=3, size=40).astype(np.float32), random.integers(0, 40, 9)

    found = probabilities(logits, seen, sampling)

    np.testing.assert_allclose(found, hugging_face(logits, seen, sampling), atol=1e-6)


def test_greedy_is_the_default() -> None:
    assert Sampler(Sampling())(LOGITS, NOTHING) == LOGITS.argmax()


def test_greedy_respects_the_repetition_penalty() -> None:
    best, second = np.argsort(-LOGITS)[:2]
    sampler = Sampler(Sampling(repetition_penalty=1e6))

    assert sampler(LOGITS, np.array([best])) == second
    np.testing.assert_array_equal(penalize(LOGITS, NOTHING, 2.0), LOGITS)


def test_draws_follow_the_distribution() -> None:
    sampling = Sampling(temperature=1.5, top_k=5, seed=3)
    expected, sampler = probabilities(LOGITS, NOTHING, sampling), Sampler(sampling)

    drawn = np.bincount([sampler(LOGITS, NOTHING) for _ in range(4000)], minlength=50) / 4000

    assert not drawn[expected == 0].any()
    np.testing.assert_allclose(drawn, expected, atol=0.03)


def test_a_seed_repeats_and_its_absence_does_not() -> None:
    def draw(seed: int | None) -> list[int]:
        sampler = Sampler(Sampling(temperature=5.0, seed=seed))
        return [sampler(LOGITS, NOTHING) for _ in range(40)]

    assert draw(1) == draw(1) != draw(2)
    assert draw(None) != draw(None)


@pytest.mark.parametrize(
    "setting",
    [
        {"temperature": -1.0}, {"top_k": -1}, {"top_p": 0.0}, {"top_p": 1.1}, {"min_p": 2.0},
        {"repetition_penalty": 0.0}, {"seed": -1}, {"temperature": float("nan")},
    ],
)  # fmt: skip
def test_values_out_of_range_are_named(setting: dict[str, Any]) -> None:
    with pytest.raises(RunError, match=next(iter(setting))):
        Sampling(**setting)


def test_penalties_count_what_the_answer_has() -> None:
    logits = np.array([3.0, 2.5, 2.4, 0.0], np.float32)
    frequent = Sampler(Sampling(frequency_penalty=0.4))
    present = Sampler(Sampling(presence_penalty=0.4))

    assert [frequent(logits, np.array([0, 0])) for _ in range(4)] == [0, 0, 1, 2]
    assert [present(logits, NOTHING) for _ in range(4)] == [0, 0, 0, 0]
    stronger = Sampler(Sampling(presence_penalty=2.0))
    assert [stronger(logits, NOTHING) for _ in range(4)] == [0, 1, 2, 0]


def test_a_bias_chooses_or_bars() -> None:
    logits = np.array([3.0, 2.5, 2.4, 0.0], np.float32)

    assert Sampler(Sampling(logit_bias={3: 100.0}))(logits, NOTHING) == 3
    assert Sampler(Sampling(logit_bias={0: -100.0, 1: -0.2}))(logits, NOTHING) == 2
    np.testing.assert_array_equal(logits, np.array([3.0, 2.5, 2.4, 0.0], np.float32))


@pytest.mark.parametrize(
    "wrong",
    [
        {"frequency_penalty": 2.1},
        {"presence_penalty": -2.1},
        {"logit_bias": {1: 101.0}},
        {"logit_bias": {-1: 1.0}},
        {"presence_penalty": float("nan")},
    ],
)
def test_penalties_out_of_range(wrong: dict[str, Any]) -> None:
    with pytest.raises(RunError, match="sampling"):
        Sampling(**wrong)
