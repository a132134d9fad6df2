"""LogProbabilities: of the chosen token, and of the best."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from vlmforge.decode.log_probabilities import LogProbabilities


@pytest.mark.parametrize("count", [0, 1, 5, 200])
def test_they_are_those_of_log_softmax(count: int) -> None:
    logits = np.random.default_rng(0).normal(0, 9, 97).astype(np.float32)
    expected = torch.log_softmax(torch.from_numpy(logits).double(), -1)

    found = LogProbabilities.of(logits, 13, count)

    best = expected.topk(min(count, 97))
    assert found.chosen == pytest.approx(expected[13].item(), abs=1e-12)
    assert [token for token, _ in found.top] == best.indices.tolist()
    assert [value for _, value in found.top] == pytest.approx(best.values.tolist(), abs=1e-12)


def test_of_equals_the_first_are_named() -> None:
    found = LogProbabilities.of(np.zeros(9, np.float32), 0, 3)

    assert [token for token, _ in found.top] == [0, 1, 2]
