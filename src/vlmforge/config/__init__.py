"""What a compilation is asked to do, as Python classes and as JSON.

JSON keys are in camelCase (``activation16Bits``), Python names in snake_case
(``activation_16bits``); both are accepted everywhere. ``docs/config.md`` lists every key.
"""

from __future__ import annotations

from vlmforge.config.bit import BitConfig
from vlmforge.config.calibration import (
    CalibrationConfig,
    CalibrationMethod,
    CalibrationMode,
    CalibrationOutput,
)
from vlmforge.config.compile import CompileConfig, require_supported
from vlmforge.config.llm import LlmConfig
from vlmforge.config.rounding import (
    HessianQuantConfig,
    LearnRoundingConfig,
    LearnWeightScaleConfig,
    SearchWeightScaleConfig,
)
from vlmforge.config.scheme import InferenceScheme
from vlmforge.config.transformation import EquivalentTransformationConfig

__all__ = [
    "BitConfig",
    "CalibrationConfig",
    "CalibrationMethod",
    "CalibrationMode",
    "CalibrationOutput",
    "CompileConfig",
    "EquivalentTransformationConfig",
    "HessianQuantConfig",
    "InferenceScheme",
    "LearnRoundingConfig",
    "LearnWeightScaleConfig",
    "LlmConfig",
    "SearchWeightScaleConfig",
    "require_supported",
]
