"""Images are told apart by size and shape."""

from __future__ import annotations

import pytest

from vlmforge.evaluation.sizes import bucket
from vlmforge.images.grid import Grid


@pytest.mark.parametrize(
    ("rows", "columns", "expected"),
    [
        (1, 1, "1 to 16 tokens, square"),
        (4, 4, "1 to 16 tokens, square"),
        (1, 17, "17 to 64 tokens, wide"),
        (8, 8, "17 to 64 tokens, square"),
        (20, 10, "65 to 256 tokens, tall"),
        (32, 32, "257 to 1024 tokens, square"),
        (33, 32, "over 1024 tokens, square"),
    ],
)
def test_buckets(rows: int, columns: int, expected: str) -> None:
    assert bucket(Grid(1, rows, columns)) == expected
