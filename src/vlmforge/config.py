"""CompileConfig: what a compilation is asked to do, as Python classes and as JSON.

JSON keys are in camelCase (``activation16Bits``), Python names in snake_case
(``activation_16bits``); both are accepted everywhere. ``docs/config.md`` lists every key.
"""

from __future__ import annotations

import difflib
import hashlib
import json
from enum import Enum, IntEnum
from pathlib import Path
from typing import Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    StrictBool,
    StrictFloat,
    StrictInt,
    field_validator,
)
from pydantic import ValidationError as _ValidationError
from pydantic.alias_generators import to_camel
from pydantic_core import ErrorDetails

from vlmforge.errors import ConfigError

Bits = Literal[4, 8]
HadamardBlock = Literal[16, 32, 64, 128, 256, 512]


class InferenceScheme(str, Enum):
    """How the cores (CPU threads) of a machine share the work."""

    SINGLE = "single"
    """One core runs one request."""
    MULTI = "multi"
    """Cores run the requests of a batch side by side."""
    GLOBAL4 = "global4"
    """Four cores split every product by output channel."""
    GLOBAL8 = "global8"
    """Eight cores split every product by output channel."""
    ALL = "all"
    """Every scheme may be chosen when the program runs."""


_IRREGULAR_KEYS = {
    "activation_16bits": "activation16Bits",
    "activation_16_loss": "activation16Loss",
    "activation_16_share": "activation16Share",
    "weight_8bits": "weight8Bits",
    "qk": "QK",
    "ud": "UD",
    "vo": "VO",
    "spin_r1": "SpinR1",
    "spin_r2": "SpinR2",
    "spin_r4": "SpinR4",
    "norm_conv": "NormConv",
    "qk_rotation": "QkRotation",
    "head_out_ch_rotation": "HeadOutChRotation",
}


def _json_key(name: str) -> str:
    return _IRREGULAR_KEYS.get(name, to_camel(name))


class _Config(BaseModel):
    """A part of the configuration: immutable, without unknown keys."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, populate_by_name=True, alias_generator=_json_key
    )

    def __init__(self, **values: Any) -> None:
        try:
            super().__init__(**values)
        except _ValidationError as error:
            raise _config_error(type(self), error) from error

    # Pydantic validates nested parts itself, so that an error carries its full path.
    __init__.__pydantic_base_init__ = True  # type: ignore[attr-defined]


class BitConfig(_Config):
    """Bits of weights and activations."""

    class LayerOverrides(_Config):
        """Nodes whose bits differ from the rest, by node name."""

        activation_16bits: tuple[str, ...] = ()
        """Nodes whose output codes are int16 though a matrix product reads them."""
        weight_8bits: tuple[str, ...] = ()
        """Nodes whose weight codes are int8 whatever ``transformer.weight`` says."""

    class Transformer(_Config):
        """Bits of the products of a transformer layer."""

        class Weight(_Config):
            """Bits of each weight: the four attention projections, feed-forward, logits."""

            query: Bits = 8
            key: Bits = 8
            value: Bits = 8
            output: Bits = 8
            ffn: Bits = 8
            head: Bits = 8

        weight: Weight = Weight()
        weight_group: Literal[32, 64, 128] | None = 128
        """Columns of a 4-bit weight that share a scale; None for one scale an output channel."""

    layer_overrides: LayerOverrides = LayerOverrides()
    transformer: Transformer = Transformer()
    activation_16_share: StrictFloat = Field(default=0.1, ge=0, le=1)
    """Share of the products that may read int16 because int8 would hurt their inputs most."""
    activation_16_loss: StrictFloat = Field(default=0.0005, ge=0)
    """What int8 loses at least of inputs that are int16 for that reason: the sum of two relative
    squared errors, that of all elements together and the mean of the tokens' own."""


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


class CalibrationConfig(_Config):
    """How activation scales follow from the calibration samples."""

    class MaxPercentile(_Config):
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


class EquivalentTransformationConfig(_Config):
    """Rewrites that leave the float model unchanged and make it easier to quantize."""

    class Qk(_Config):
        """Scales query and key channels against each other.

        The integer machine always does: keys have a scale a channel, folded into the queries.
        """

        apply: StrictBool = False
        learn: StrictBool = False

    class Ud(_Config):
        """Scales up-projection outputs against down-projection inputs."""

        apply: StrictBool = False
        learn: StrictBool = False

    class Vo(_Config):
        """Scales value outputs against output-projection inputs."""

        apply: StrictBool = False
        learn: StrictBool = False

    class SpinR1(_Config):
        """One rotation of the whole residual stream (SpinQuant's R1)."""

        apply: StrictBool = True
        learn: StrictBool = False

    class SpinR2(_Config):
        """One rotation of the value channels of each layer (SpinQuant's R2)."""

        apply: StrictBool = True
        learn: StrictBool = False

    class SpinR4(_Config):
        """Mixes blocks of a gated MLP's channels before the down projection (SpinQuant's R4)."""

        apply: StrictBool = True
        block: HadamardBlock = 256
        """Channels mixed at most; halved until it divides their number."""

    class NormConv(_Config):
        """Scales norm outputs against the products that read them."""

        apply: StrictBool = False
        learn: StrictBool = False

    class QkRotation(_Config):
        """Rotates query and key channels in a way that commutes with RoPE."""

        apply: StrictBool = False
        learn: StrictBool = False

    class HeadOutChRotation(_Config):
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


class SearchWeightScaleConfig(_Config):
    """Whether the scales of 4-bit weights are searched: the largest weights may be clipped."""

    class Transformer(_Config):
        """Which products take part, as in :class:`BitConfig.Transformer.Weight`."""

        query: StrictBool = True
        key: StrictBool = True
        value: StrictBool = True
        out: StrictBool = True
        ffn: StrictBool = True
        head: StrictBool = True

    apply: StrictBool = True
    transformer: Transformer = Transformer()


class HessianQuantConfig(_Config):
    """Rounding of weights with error compensation (GPTQ) on the calibration samples."""

    class Attributes(_Config):
        """Settings of the solver."""

        act_order: StrictBool = True
        """Whether columns with large inputs are rounded first."""
        block_size: StrictInt = Field(default=128, gt=0)
        """Columns rounded before their errors reach the rest; groups are blocks of their own."""
        perc_damp: StrictFloat = Field(default=0.05, gt=0)
        """Share of the Hessian's mean diagonal that is added to its diagonal."""

    apply: StrictBool = True
    attributes: Attributes = Attributes()


class LearnRoundingConfig(_Config):
    """Codes of four-bit weights learned layer by layer, once they are known."""

    apply: StrictBool = False
    steps: StrictInt = Field(default=150, gt=0)
    """Of gradient descent for each layer, each on two samples; time grows with them."""
    bfloat16: StrictBool = False
    """Whether products are computed in bfloat16 meanwhile, several times as fast where the
    processor has instructions for it."""


class LearnWeightScaleConfig(_Config):
    """Scales of weights learned together, once the codes are known, on the calibration samples."""

    apply: StrictBool = False
    steps: StrictInt = Field(default=64, gt=0)
    """Of gradient descent, each on one sample; the time it takes grows with them."""


class CompileConfig(_Config):
    """Everything a compilation is asked to do; :func:`require_supported` says what it can."""

    bit: BitConfig = BitConfig()
    calibration: CalibrationConfig = CalibrationConfig()
    equivalent_transformation: EquivalentTransformationConfig = EquivalentTransformationConfig()
    search_weight_scale: SearchWeightScaleConfig = SearchWeightScaleConfig()
    hessian_quant: HessianQuantConfig = HessianQuantConfig()
    learn_rounding: LearnRoundingConfig = LearnRoundingConfig()
    learn_weight_scale: LearnWeightScaleConfig = LearnWeightScaleConfig()
    seed: StrictInt = Field(default=0, ge=0, lt=2**63)
    """Seed of the random rotations."""

    @staticmethod
    def load(path: str | Path) -> CompileConfig:
        """Read a JSON file; raises :class:`ConfigError`."""
        mend = "give the path of a JSON file; docs/config.md lists its keys"
        try:
            values = json.loads(Path(path).read_text("utf-8"))
        except (OSError, ValueError, RecursionError) as error:
            raise ConfigError(
                f"the configuration cannot be read: {error}", where=path, mend=mend
            ) from error
        try:
            return CompileConfig.parse(values)
        except ConfigError as error:
            raise ConfigError(error.what, where=path, mend=error.mend) from error

    @staticmethod
    def parse(values: dict[str, Any]) -> CompileConfig:
        """The configuration of a JSON object; raises :class:`ConfigError`."""
        if not isinstance(values, dict):
            raise ConfigError("the configuration is not a JSON object", mend='write {"bit": ...}')
        return CompileConfig(**{str(key): value for key, value in values.items()})

    def document(self) -> dict[str, Any]:
        """All keys and values as a JSON object, defaults included."""
        return self.model_dump(mode="json", by_alias=True)

    def portable_document(self) -> dict[str, Any]:
        """:meth:`document` without ``matrixPath``: what is asked for, on whatever machine."""
        document = self.document()
        del document["equivalentTransformation"]["HeadOutChRotation"]["matrixPath"]
        return document

    def fingerprint(self) -> str:
        """SHA-256 in hex of what is asked for; where a matrix lies does not change it."""
        canonical = json.dumps(self.portable_document(), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(canonical.encode()).hexdigest()


def require_supported(config: CompileConfig) -> None:
    """Raise :class:`ConfigError` where something is to be learned that cannot be."""
    for name, settings in config.document()["equivalentTransformation"].items():
        if not settings.get("learn"):
            continue
        path = f"equivalentTransformation.{name}"
        if not settings["apply"]:
            raise ConfigError(
                f"{path}.learn is true, but {path}.apply is not",
                mend=f"set {path}.apply to true, or leave out learn",
            )
        if name == "QkRotation":
            raise ConfigError(
                f"{path}.learn is true, but its search over angles is complete",
                mend=f"leave out {path}.learn",
            )


def _config_error(model: type[BaseModel], error: _ValidationError) -> ConfigError:
    """The first of the found errors, by its full path."""
    details = error.errors(include_url=False)[0]
    path = ".".join(map(str, details["loc"]))
    if details["type"] == "extra_forbidden":
        known = _keys_beside(model, details)
        near = difflib.get_close_matches(str(details["loc"][-1]), known, n=1, cutoff=0.4)
        mend = f"did you mean {near[0]!r}?" if near else f"the keys here are {', '.join(known)}"
        return ConfigError(f"unknown key {path!r} in the configuration", mend=mend)
    reason = details["msg"].removeprefix("Value error, ")
    reason = reason[0].lower() + reason[1:]
    return ConfigError(f"{path} is {details['input']!r}: {reason}", mend="see docs/config.md")


def _keys_beside(model: type[BaseModel], details: ErrorDetails) -> list[str]:
    """The JSON keys that may stand where the error is."""
    for key in details["loc"][:-1]:
        inner = next(
            field.annotation for field in model.model_fields.values() if field.alias == key
        )
        assert isinstance(inner, type)
        model = inner
    return [str(field.alias) for field in model.model_fields.values()]
