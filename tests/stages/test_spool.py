"""Tensors come back from disk as they went there."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from vlmforge.stages.spool import Spool


def test_tensors_come_back(tmp_path: Path) -> None:
    spool, first = Spool(tmp_path), torch.randn(3, 5)
    spool["a.b"] = first
    spool["../c"] = torch.arange(4)
    assert torch.equal(spool["a.b"], first) and list(spool) == ["a.b", "../c"]
    assert {file.parent for file in tmp_path.rglob("*")} == {tmp_path}
    spool["a.b"] = first + 1
    assert torch.equal(spool["a.b"], first + 1) and len(spool) == 2
    del spool["a.b"]
    assert "a.b" not in spool and len(list(tmp_path.iterdir())) == 1
    with pytest.raises(KeyError):
        spool["a.b"]
