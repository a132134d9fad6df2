"""How activation scales follow from calibration samples."""

from __future__ import annotations

from enum import IntEnum

from pydantic import Field, StrictFloat, field_validator

from vlmforge.config.section import Section


class CalibrationMethod(IntEnum):
    """Scales of activations; weights always have scales per output channel.

    The integer machine has one scale per activation, so the methods of a layer and those across
    layers name the same arithmetic here.
    """

    LAYER = 0
    MULTI = 1
    LAYER_ZERO_POINT = 2
    MULTI_ZERO_POINT = 3

    @property
    def zero_points(self) -> bool:
        """Whether one-sided activations have a zero point."""
        return self in (CalibrationMethod.LAYER_ZERO_POINT, CalibrationMethod.MULTI_ZERO_POINT)


class CalibrationOutput(IntEnum):
    """Scales of what a component hands back: one, one a channel, or those of a sigmoid's input.

    Programs hand back float32, each channel scaled on its own from its exact accumulator and
    clipped nowhere, so the three name the same arithmetic here.
    """

    LAYER = 0
    CHANNEL = 1
    SIGMOID = 2


class CalibrationMode(IntEnum):
    """How the largest representable value of an activation is chosen from what was observed.

    ``MAX`` (0) takes the largest absolute value, ``PERCENTILE`` (1) a percentile of them,
    ``HISTOGRAM`` (2) searches the clipping that loses least information.
    """

    MAX = 0
    PERCENTILE = 1
    HISTOGRAM = 2


class CalibrationConfig(Section):
    """How activation scales follow from the calibration samples."""

    class MaxPercentile(Section):
        """Settings of mode 1."""

        percentile: StrictFloat = Field(default=0.9999, gt=0, le=1)
        """Share of the observed absolute values that must be representable."""
        topk_ratio: StrictFloat = Field(default=0.01, gt=0, le=1)
        """Share of the largest values that is kept to find the percentile exactly."""

    method: CalibrationMethod = CalibrationMethod.MULTI
    output: CalibrationOutput = CalibrationOutput.LAYER
    mode: CalibrationMode = CalibrationMode.HISTOGRAM
    max_percentile: MaxPercentile = MaxPercentile()

    @field_validator("method", "output", "mode", mode="before")
    @classmethod
    def _is_integer(cls, value: object) -> object:
        if isinstance(value, bool) or not isinstance(value, int):
            raise ValueError("input should be an integer")
        return value
