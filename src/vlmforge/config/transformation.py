"""Equivalent transformations."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, StrictBool, StrictFloat

from vlmforge.config.section import Section

HadamardBlock = Literal[16, 32, 64, 128, 256, 512]


class EquivalentTransformationConfig(Section):
    """Rewrites that leave the float model unchanged and make it easier to quantize."""

    class Qk(Section):
        """Scales query and key channels against each other.

        The integer machine always does: keys have a scale a channel, folded into the queries.
        """

        apply: StrictBool = False
        learn: StrictBool = False

    class Ud(Section):
        """Scales up-projection outputs against down-projection inputs."""

        apply: StrictBool = False
        learn: StrictBool = False
        smoothing_factor: StrictFloat | None = Field(default=None, ge=0, le=1)
        """The exponent a of ``max|x|^a / max|w|^(1 - a)``; None for the best of a grid."""

    class Vo(Section):
        """Scales value outputs against output-projection inputs."""

        apply: StrictBool = False
        learn: StrictBool = False

    class SpinR1(Section):
        """One rotation of the whole residual stream (SpinQuant's R1)."""

        apply: StrictBool = True
        learn: StrictBool = False

    class SpinR2(Section):
        """One rotation of the value channels of each layer (SpinQuant's R2)."""

        apply: StrictBool = True
        learn: StrictBool = False

    class SpinR4(Section):
        """Mixes blocks of a gated MLP's channels before the down projection (SpinQuant's R4)."""

        apply: StrictBool = True
        block: HadamardBlock = 256
        """Channels mixed at most; halved until it divides their number."""

    class NormConv(Section):
        """Scales norm outputs against the products that read them."""

        apply: StrictBool = False
        learn: StrictBool = False

    class QkRotation(Section):
        """Rotates query and key channels in a way that commutes with RoPE."""

        apply: StrictBool = False
        learn: StrictBool = False

    class HeadOutChRotation(Section):
        """Rotates the vision encoder's output by the language model's R1, if that has one."""

        apply: StrictBool = True
        matrix_path: Path | None = None
        """R1's file; by default the one the language model's compilation wrote."""

    qk: Qk = Qk()
    ud: Ud = Ud()
    vo: Vo = Vo()
    spin_r1: SpinR1 = SpinR1()
    spin_r2: SpinR2 = SpinR2()
    spin_r4: SpinR4 = SpinR4()
    norm_conv: NormConv = NormConv()
    qk_rotation: QkRotation = QkRotation()
    head_out_ch_rotation: HeadOutChRotation = HeadOutChRotation()
