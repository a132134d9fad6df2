"""What tests of benchmarks share."""

from __future__ import annotations

from tests.bench.conftest import tiny_package

__all__ = ["tiny_package"]
