"""vlmforge compiles vision-language models into static-integer programs and runs them."""

from __future__ import annotations

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

_EXPORTS = {
    "CompileConfig": "vlmforge.config",
    "BitConfig": "vlmforge.config",
    "CalibrationConfig": "vlmforge.config",
    "EquivalentTransformationConfig": "vlmforge.config",
    "InferenceScheme": "vlmforge.config",
    "VlmforgeError": "vlmforge.errors",
    "compile_model": "vlmforge.pipeline",
    "mblt_compile": "vlmforge.stages.mblt",
    "mxq_compile": "vlmforge.stages.mxq",
    "Session": "vlmforge.run.session",
}
"""Public name to the module it is in, imported at first use: running needs no torch."""

__all__ = ["__version__", *_EXPORTS]


def __getattr__(name: str) -> Any:
    if name not in _EXPORTS:
        raise AttributeError(f"module 'vlmforge' has no attribute {name!r}")
    return getattr(import_module(_EXPORTS[name]), name)
