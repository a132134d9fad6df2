"""A pytest plugin that imports vlmforge from PYTHONPATH though it is installed in editable form.

The finder of an editable install comes before every path, and would give the tests the module that
was built for users instead of the one PYTHONPATH names first.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

sys.meta_path[:] = [f for f in sys.meta_path if not type(f).__name__.startswith("ScikitBuild")]


def pytest_report_header() -> str:
    """Name the module under test; it is the one asked for, or nothing runs."""
    import vlmforge._native as native

    wanted = Path(os.environ["PYTHONPATH"].split(os.pathsep)[0]).resolve()
    if wanted not in Path(str(native.__file__)).resolve().parents:
        raise pytest.UsageError(f"vlmforge is imported from {native.__file__}, not from {wanted}")
    return f"native module: {native.__file__}"
