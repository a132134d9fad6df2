"""How weights are rounded: searched scales, error compensation, learning."""

from __future__ import annotations

from pydantic import Field, StrictBool, StrictFloat, StrictInt

from vlmforge.config.section import Section


class SearchWeightScaleConfig(Section):
    """Whether the scales of 4-bit weights are searched: the largest weights may be clipped."""

    class Transformer(Section):
        """Which products take part, as in :class:`BitConfig.Transformer.Weight`."""

        query: StrictBool = True
        key: StrictBool = True
        value: StrictBool = True
        out: StrictBool = True
        ffn: StrictBool = True
        head: StrictBool = True

    apply: StrictBool = True
    transformer: Transformer = Transformer()


class HessianQuantConfig(Section):
    """Rounding of weights with error compensation (GPTQ) on the calibration samples."""

    class Attributes(Section):
        """Settings of the solver."""

        act_order: StrictBool = True
        """Whether columns with large inputs are rounded first."""
        block_size: StrictInt = Field(default=128, gt=0)
        """Columns rounded before their errors reach the rest; groups are blocks of their own."""
        perc_damp: StrictFloat = Field(default=0.05, gt=0)
        """Share of the Hessian's mean diagonal that is added to its diagonal."""

    apply: StrictBool = True
    attributes: Attributes = Attributes()


class LearnRoundingConfig(Section):
    """Codes of four-bit weights learned layer by layer, once they are known."""

    apply: StrictBool = False
    steps: StrictInt = Field(default=150, gt=0)
    """Of gradient descent for each layer, each on two samples; time grows with them."""
    bfloat16: StrictBool = False
    """Whether products are computed in bfloat16 meanwhile, several times as fast where the
    processor has instructions for it."""


class LearnWeightScaleConfig(Section):
    """Scales of weights learned together, once the codes are known, on the calibration samples."""

    apply: StrictBool = False
    steps: StrictInt = Field(default=64, gt=0)
    """Of gradient descent, each on one sample; the time it takes grows with them."""
