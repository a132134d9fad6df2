"""Bits that must not change without a changed line here and an entry in the changelog."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vlmforge.fixed_point import erf, exp, sigmoid
from vlmforge.sample import FAMILIES

HERE = Path(__file__).parent
GOLDEN = json.loads((HERE / "golden.json").read_text(encoding="utf-8"))

CODES = np.arange(-32767, 32768).astype(np.float32)
SCALES = (2.0**-13, 2.0**-8)

AVX2 = {
    "ATEN_CPU_CAPABILITY": "avx2",
    "MKL_ENABLE_INSTRUCTIONS": "AVX2",
    "ONEDNN_MAX_CPU_ISA": "AVX2",
    "OPENBLAS_CORETYPE": "Haswell",
    "NPY_DISABLE_CPU_FEATURES": "AVX512F,AVX512CD,AVX512_SKX,AVX512_CLX,AVX512_CNL,AVX512_ICL",
    "VLMFORGE_ISA": "avx2",
}
"""Lets a processor with AVX-512 compute as one without."""

MACHINES = {
    "one thread": {"OMP_NUM_THREADS": "1"},
    "four threads, AVX2": {"OMP_NUM_THREADS": "4", **AVX2},
}


@pytest.mark.parametrize("function", [exp, erf, sigmoid], ids=lambda function: function.__name__)
def test_functions_of_every_code(function: Any) -> None:
    digest = hashlib.sha256()
    for scale in SCALES:
        x = CODES * np.float32(scale)
        digest.update(function(-np.abs(x) if function is exp else x).tobytes())
    assert digest.hexdigest() == GOLDEN["functions"][function.__name__]


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("machine", MACHINES)
def test_the_compiled_samples(tmp_path: Path, machine: str, family: str) -> None:
    native = pytest.importorskip("vlmforge._native", reason="sums have no stated order without it")
    if MACHINES[machine].get("VLMFORGE_ISA", "scalar") not in native.instruction_sets():
        pytest.skip("this processor has no AVX2")
    found = subprocess.run(
        [sys.executable, HERE / "compiled.py", family, tmp_path / "package"],
        env={**os.environ, **MACHINES[machine]},
        stdout=subprocess.PIPE,
        check=True,
    )
    assert json.loads(found.stdout) == GOLDEN["samples"][family]
