"""Tensors come back from disk as they went there."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from vlmforge.stages.spool import Spool

FULL = """
import resource, sys
from pathlib import Path
import torch
from vlmforge.errors import SystemFailure
from vlmforge.stages.spool import Spool

resource.setrlimit(resource.RLIMIT_FSIZE, (1000, resource.RLIM_INFINITY))
try:
    Spool(Path(sys.argv[1]))["a"] = torch.zeros(300)
except SystemFailure as error:
    print(error)
"""


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


@pytest.mark.skipif(sys.platform == "win32", reason="Windows limits no files")
def test_a_full_disk_is_told(tmp_path: Path) -> None:
    command = [sys.executable, "-c", FULL, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert str(tmp_path / "0.npy") in done.stdout
