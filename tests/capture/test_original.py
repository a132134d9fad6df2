"""Counterparts survive being written, and give weights and outputs the same channels."""

from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st

from vlmforge.capture.original import Counterpart
from vlmforge.graph.core import Weight

ORDERS = st.integers(1, 12).flatmap(lambda size: st.permutations(range(size)))


@given(ORDERS, st.booleans(), st.floats(1e-3, 1e3))
def test_what_is_written_is_read(order: list[int], split: bool, factor: float) -> None:
    found = Counterpart("layers.0.q_proj", (8, 20) if split else None, tuple(order), factor)
    assert Counterpart.parse(str(found)) == found


def test_an_order_is_written_as_runs() -> None:
    assert str(Counterpart("q", order=(0, 3, 6, 1, 2, 4, 5))) == "q{0:7:3,1:3,4:6}"
    assert str(Counterpart("q", (4, 8), factor=0.22)) == "q[4:8]*0.22"
    assert Counterpart.parse("model.lm_head") == Counterpart("model.lm_head")


@given(ORDERS, st.integers(1, 3), st.data())
def test_rows_of_the_weight_are_channels_of_the_output(
    order: list[int], heads: int, data: st.DataObject
) -> None:
    rows = heads * len(order)
    stored = torch.arange(5.0 * (3 + rows)).reshape(3 + rows, 5)
    x = torch.eye(5)
    found = Counterpart("q", (3, 3 + rows), tuple(order), 0.5)
    weight = found.weight(Weight(tuple(stored.shape), lambda a, b: stored[a:b]))
    assert torch.equal(x @ weight.load().T, found.of(x @ stored.T))
    start = data.draw(st.integers(0, rows - 1))
    stop = data.draw(st.integers(start + 1, rows))
    assert torch.equal(weight.read(start, stop), weight.load()[start:stop])
