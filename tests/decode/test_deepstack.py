"""Features reach the inputs of a text program at the tokens of images."""

from __future__ import annotations

import numpy as np
import pytest

from vlmforge.decode.deepstack import Deepstack
from vlmforge.decode.inputs import NO_ROWS

PLACES = np.array([False, True, True, False])


@pytest.mark.parametrize("names", [(), ("a",), ("a", "b")])
def test_features_stand_where_images_do(names: tuple[str, ...]) -> None:
    rng = np.random.default_rng(0)
    embeddings = rng.normal(size=(4, 3)).astype(np.float32)
    rows = rng.normal(size=(2, 3 * (1 + len(names)))).astype(np.float32)
    feeds = Deepstack(names).feeds(embeddings.copy(), PLACES, rows)
    assert list(feeds) == ["inputs_embeds", *names]
    np.testing.assert_array_equal(feeds["inputs_embeds"][0, ~PLACES], embeddings[~PLACES])
    for at, array in enumerate(feeds.values()):
        assert array.shape == (1, 4, 3)
        np.testing.assert_array_equal(array[0, PLACES], rows[:, 3 * at : 3 * at + 3])
    for name in names:
        assert not feeds[name][0, ~PLACES].any()


def test_text_shares_its_zeros() -> None:
    embeddings, deepstack = np.ones((1, 3), np.float32), Deepstack(("a", "b"))
    feeds = deepstack.feeds(embeddings, np.array([False]), NO_ROWS)
    again = deepstack.feeds(embeddings, np.array([False]), NO_ROWS)
    assert feeds["a"] is feeds["b"] is again["a"] and not feeds["a"].any()
    assert not feeds["a"].flags.writeable
    np.testing.assert_array_equal(feeds["inputs_embeds"], embeddings[None])
