"""Bits that must not change without a changed line here and an entry in the changelog."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vlmforge.fixed_point import erf, exp, sigmoid

HERE = Path(__file__).parent
GOLDEN = json.loads((HERE / "golden.json").read_text(encoding="utf-8"))

CODES = np.arange(-32767, 32768).astype(np.float32)
SCALES = (2.0**-13, 2.0**-8)

PINNED = {
    "OMP_NUM_THREADS": "1",
    "ATEN_CPU_CAPABILITY": "default",
    "MKL_CBWR": "COMPATIBLE",
    "ONEDNN_MAX_CPU_ISA": "SSE41",
    "OPENBLAS_CORETYPE": "Nehalem",
}
"""Lets libraries compute with what every x86-64 processor has."""


@pytest.mark.parametrize("function", [exp, erf, sigmoid], ids=lambda function: function.__name__)
def test_functions_of_every_code(function: Any) -> None:
    digest = hashlib.sha256()
    for scale in SCALES:
        x = CODES * np.float32(scale)
        digest.update(function(-np.abs(x) if function is exp else x).tobytes())
    assert digest.hexdigest() == GOLDEN["functions"][function.__name__]


@pytest.mark.skipif(platform.machine() != "x86_64", reason="compiling rounds otherwise elsewhere")
def test_the_compiled_sample(tmp_path: Path) -> None:
    found = subprocess.run(
        [sys.executable, HERE / "compiled.py", tmp_path / "package"],
        env={**os.environ, **PINNED},
        stdout=subprocess.PIPE,
        check=True,
    )
    assert json.loads(found.stdout) == GOLDEN["sample"]
