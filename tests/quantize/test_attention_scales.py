"""Balanced scales of queries and keys."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from vlmforge.quantize.attention_scales import ScoreScales, balance

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
