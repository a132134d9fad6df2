"""CompileConfig: all sections together."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from pydantic import Field, StrictInt

from vlmforge.config.bit import BitConfig
from vlmforge.config.calibration import CalibrationConfig
from vlmforge.config.llm import LlmConfig, require_lengths
from vlmforge.config.rounding import (
    HessianQuantConfig,
    LearnRoundingConfig,
    LearnWeightScaleConfig,
    SearchWeightScaleConfig,
)
from vlmforge.config.section import Section
from vlmforge.config.transformation import EquivalentTransformationConfig
from vlmforge.errors import ConfigError


class CompileConfig(Section):
    """Everything a compilation is asked to do; :func:`require_supported` says what it can."""

    bit: BitConfig = BitConfig()
    calibration: CalibrationConfig = CalibrationConfig()
    equivalent_transformation: EquivalentTransformationConfig = EquivalentTransformationConfig()
    search_weight_scale: SearchWeightScaleConfig = SearchWeightScaleConfig()
    hessian_quant: HessianQuantConfig = HessianQuantConfig()
    learn_rounding: LearnRoundingConfig = LearnRoundingConfig()
    learn_weight_scale: LearnWeightScaleConfig = LearnWeightScaleConfig()
    llm: LlmConfig = LlmConfig()
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

    def by_default(self) -> CompileConfig:
        """The same, as if nothing in it had been asked for by name."""
        asked = self.equivalent_transformation
        fields = {name: getattr(asked, name) for name in type(asked).model_fields}
        unnamed = type(asked).model_construct(set(), **fields)
        return self.model_copy(update={"equivalent_transformation": unnamed})

    @property
    def learns(self) -> bool:
        """Whether something is learned by gradient descent."""
        learned = (self.learn_rounding.apply, self.learn_weight_scale.apply)
        return any(learned) or self.learns_transformations

    @property
    def learns_transformations(self) -> bool:
        """Whether a transformation is learned."""
        turned = self.document()["equivalentTransformation"].values()
        return any(each.get("learn") for each in turned)

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
    """Raise :class:`ConfigError` where something is asked for that cannot be honoured."""
    require_lengths(config.llm)
    _require_smoothing(config.equivalent_transformation.ud)
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


def _require_smoothing(ud: EquivalentTransformationConfig.Ud) -> None:
    path = "equivalentTransformation.UD"
    if ud.smoothing_factor is not None and not ud.apply:
        raise ConfigError(
            f"{path}.smoothingFactor is given, but {path}.apply is false",
            mend=f"set {path}.apply to true, or leave out smoothingFactor",
        )
