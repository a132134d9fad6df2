"""Section: a part of the configuration, which its own class describes."""

from __future__ import annotations

import difflib
from typing import Any

from pydantic import BaseModel, ConfigDict
from pydantic import ValidationError as _ValidationError
from pydantic.alias_generators import to_camel
from pydantic_core import ErrorDetails

from vlmforge.config.refused import refused
from vlmforge.errors import ConfigError

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


class Section(BaseModel):
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


def _config_error(model: type[BaseModel], error: _ValidationError) -> ConfigError:
    """The first of the found errors, by its full path."""
    details = error.errors(include_url=False)[0]
    path = ".".join(map(str, details["loc"]))
    if details["type"] == "extra_forbidden":
        section, key = _section(model, details), str(details["loc"][-1])
        if (why := refused(section, key)) is not None:
            return ConfigError(f"{path} is refused: {why.reason}", mend=why.mend)
        known = [str(field.alias) for field in section.model_fields.values()]
        near = difflib.get_close_matches(key, known, n=1, cutoff=0.4)
        mend = f"did you mean {near[0]!r}?" if near else f"the keys here are {', '.join(known)}"
        return ConfigError(f"unknown key {path!r} in the configuration", mend=mend)
    reason = details["msg"].removeprefix("Value error, ")
    reason = reason[0].lower() + reason[1:]
    return ConfigError(f"{path} is {details['input']!r}: {reason}", mend="see docs/config.md")


def _section(model: type[BaseModel], details: ErrorDetails) -> type[BaseModel]:
    """The part of the configuration that the error is in."""
    for key in details["loc"][:-1]:
        inner = next(
            field.annotation for field in model.model_fields.values() if field.alias == key
        )
        assert isinstance(inner, type)
        model = inner
    return model
