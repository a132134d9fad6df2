"""Balanced scales of queries and keys."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from vlmforge.quantize.scales.attention import ScoreScales, balance, clip_queries

HEADS, KV_HEADS, DIM = 6, 2, 16


def operands(seed: int, outlier: float) -> tuple[np.ndarray, np.ndarray]:
    """Queries ``[rows, heads, dim]`` and keys ``[rows, kv_heads, dim]``; one key is biased."""
    random = np.random.default_rng(seed)
    queries = random.normal(size=(50, HEADS, DIM)) * random.uniform(0.5, 3, DIM)
    keys = random.normal(size=(50, KV_HEADS, DIM)) * random.uniform(0.5, 3, DIM)
    keys[..., 3] += outlier
    return queries, keys


def score_error(queries: np.ndarray, keys: np.ndarray, scales: ScoreScales) -> float:
    """Mean squared error of the scores of codes; no code is clipped."""
    repeated = scales.keys.repeat(HEADS // KV_HEADS, axis=0)
    q = np.rint(queries * repeated / scales.scores[:, None])
    k = np.rint(keys / scales.keys)
    assert max(np.abs(q).max(), np.abs(k).max()) <= 127
    k, real = (x.repeat(HEADS // KV_HEADS, axis=1) for x in (k, keys))
    found = np.einsum("nhd,mhd->hnm", q, k) * scales.scores[:, None, None]
    return float(np.square(found - np.einsum("nhd,mhd->hnm", queries, real)).mean())


def folded(queries: np.ndarray, keys: np.ndarray) -> ScoreScales:
    """The smallest steps of keys, folded into the queries whole."""
    steps = keys / 127
    largest = queries * steps.repeat(HEADS // KV_HEADS, axis=0)
    return ScoreScales(steps, largest.max(axis=1) / 127)


@given(st.integers(0, 99), st.sampled_from([0.0, 20.0, 100.0]))
def test_nothing_is_clipped_and_a_biased_key_costs_less(seed: int, outlier: float) -> None:
    queries, keys = operands(seed, outlier)
    bounds = np.abs(queries).max(axis=0), np.abs(keys).max(axis=0)
    balanced = score_error(queries, keys, balance(*bounds))
    assert balanced < 0.85 * score_error(queries, keys, folded(*bounds))


def softmax_error(
    queries: np.ndarray, keys: np.ndarray, scales: ScoreScales, scale: float
) -> np.ndarray:
    """Mean absolute error of the probabilities, ``[heads]``; codes of queries may be clipped."""
    repeated = scales.keys.repeat(HEADS // KV_HEADS, axis=0)
    q = np.rint(queries * repeated / scales.scores[:, None]).clip(-127, 127)
    k, real = (x.repeat(HEADS // KV_HEADS, axis=1) for x in (np.rint(keys / scales.keys), keys))
    found = np.einsum("nhd,mhd->hnm", q, k) * scales.scores[:, None, None]
    wanted = np.einsum("nhd,mhd->hnm", queries, real)
    probabilities = [np.exp(s - s.max(-1, keepdims=True)) for s in (found * scale, wanted * scale)]
    found, wanted = (p / p.sum(-1, keepdims=True) for p in probabilities)
    return np.abs(found - wanted).sum(-1).mean(-1)


@given(st.integers(0, 99))
def test_a_rare_query_of_a_hundred_times_the_size_is_clipped(seed: int) -> None:
    queries, keys = operands(seed, 0.0)
    queries[::25, 4] *= 100
    scale = 1 / np.sqrt(DIM)
    whole = balance(np.abs(queries).max(axis=0), np.abs(keys).max(axis=0))
    clipped = clip_queries(whole, queries, np.square(keys).mean(axis=0), scale)
    before, after = (softmax_error(queries, keys, s, scale) for s in (whole, clipped))
    assert after[4] < 0.4 * before[4]
    assert (after < 1.3 * before).all()
    assert (clipped.keys == whole.keys).all()


def test_zero_queries_keep_their_scale() -> None:
    found = ScoreScales(np.ones((1, 4)), np.ones(2))
    kept = clip_queries(found, np.zeros((3, 2, 4)), np.ones((1, 4)), 0.5)
    assert np.isfinite(kept.scores).all() and (kept.scores > 0).all()
