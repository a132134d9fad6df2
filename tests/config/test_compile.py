"""CompileConfig: the tutorial's JSON, nearest keys, and what the compiler honours."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from vlmforge.config import (
    BitConfig,
    CalibrationConfig,
    CalibrationMode,
    CompileConfig,
    EquivalentTransformationConfig,
    InferenceScheme,
    require_supported,
)
from vlmforge.errors import ConfigError

ROOT = Path(__file__).resolve().parents[2]

TUTORIAL = """
{"bit": {"layerOverrides": {"activation16Bits": ["inputs_embeds/reshape"]},
         "transformer": {"weight": {"query": 8, "key": 8, "value": 8, "output": 8,
                                    "ffn": 8, "head": 8}}},
 "calibration": {"method": 1, "output": 0, "mode": 1,
                 "maxPercentile": {"percentile": 0.9999, "topkRatio": 0.01}},
 "equivalentTransformation": {"QK": {"apply": true}, "UD": {"apply": true, "learn": true},
         "SpinR1": {"apply": true}, "SpinR2": {"apply": true},
         "HeadOutChRotation": {"apply": true, "matrixPath": "spinWeight/R1.pth"}}}
"""


def nested(path: str, value: Any) -> dict[str, Any]:
    """``{"a": {"b": value}}`` for ``a.b``."""
    for key in reversed(path.split(".")):
        value = {key: value}
    return value


def leaves(document: dict[str, Any], prefix: str = "") -> Iterator[str]:
    for key, value in document.items():
        if isinstance(value, dict):
            yield from leaves(value, f"{prefix}{key}.")
        else:
            yield prefix + key


def test_the_tutorials_json_is_accepted_verbatim(tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    path.write_text(TUTORIAL)
    config = CompileConfig.load(path)
    assert config.bit.layer_overrides.activation_16bits == ("inputs_embeds/reshape",)
    assert config.calibration.mode is CalibrationMode.PERCENTILE
    assert config.equivalent_transformation.ud.learn
    matrix = config.equivalent_transformation.head_out_ch_rotation.matrix_path
    assert matrix == Path("spinWeight/R1.pth")


def test_snake_case_and_python_classes_say_the_same() -> None:
    bit = BitConfig(
        layer_overrides=BitConfig.LayerOverrides(activation_16bits=("inputs_embeds/reshape",))
    )
    transformation = EquivalentTransformationConfig(
        qk=EquivalentTransformationConfig.Qk(apply=True)
    )
    built = CompileConfig(bit=bit, equivalent_transformation=transformation)
    parsed = CompileConfig.parse(
        {
            "bit": {"layer_overrides": {"activation_16bits": ["inputs_embeds/reshape"]}},
            "equivalentTransformation": {"QK": {"apply": True}},
        }
    )
    assert built == parsed
    assert hash(built) == hash(parsed)


def test_a_document_reads_back() -> None:
    config = CompileConfig.parse(json.loads(TUTORIAL))
    assert CompileConfig.parse(json.loads(json.dumps(config.document()))) == config


def test_defaults() -> None:
    config = CompileConfig()
    require_supported(config)
    assert config.equivalent_transformation.spin_r1.apply
    assert config.equivalent_transformation.head_out_ch_rotation.apply
    assert not config.equivalent_transformation.qk.apply
    assert config.calibration == CalibrationConfig(method=1, output=0, mode=2)
    assert config.seed == 0


@pytest.mark.parametrize(
    ("path", "nearest"),
    [
        ("bit.layerOverides", "layerOverrides"),
        ("bit.layerOverrides.activation16bits", "activation16Bits"),
        ("bit.transformer.weight.querry", "query"),
        ("calibration.maxPercentile.topKRatio", "topkRatio"),
        ("equivalentTransformation.spinR1", "SpinR1"),
        ("equivalentTransformation.HeadOutChRotation.matrix", "matrixPath"),
        ("calibratoin", "calibration"),
    ],
)
def test_an_unknown_key_names_its_path_and_the_nearest_key(path: str, nearest: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(f"unknown key {path!r}")) as caught:
        CompileConfig.parse(nested(path, {}))
    assert caught.value.mend == f"did you mean {nearest!r}?"


def test_an_unknown_key_near_to_none_lists_the_keys() -> None:
    with pytest.raises(ConfigError) as caught:
        CompileConfig.parse({"zzzz": 1})
    assert caught.value.mend is not None
    keys = "equivalentTransformation, searchWeightScale, hessianQuant"
    keys += ", learnRounding, learnWeightScale, llm, seed"
    assert f"the keys here are bit, calibration, {keys}" in caught.value.mend


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("bit", 3),
        ("bit.transformer.weight.query", 5),
        ("bit.transformer.weight.query", "8"),
        ("bit.transformer.weightGroup", 16),
        ("hessianQuant.attributes.percDamp", 0.0),
        ("hessianQuant.attributes.blockSize", 0),
        ("learnRounding.steps", 0),
        ("learnWeightScale.steps", 0),
        ("bit.layerOverrides.activation16Bits", "one"),
        ("bit.layerOverrides.activation16Bits", [1]),
        ("calibration.mode", 3),
        ("calibration.mode", True),
        ("calibration.mode", "1"),
        ("calibration.method", -1),
        ("calibration.maxPercentile.percentile", 1.5),
        ("calibration.maxPercentile.percentile", float("nan")),
        ("calibration.maxPercentile.topkRatio", 0.0),
        ("equivalentTransformation.QK.apply", "yes"),
        ("equivalentTransformation.QK.apply", 1),
        ("equivalentTransformation.UD.smoothingFactor", 1.1),
        ("equivalentTransformation.UD.smoothingFactor", -0.1),
        ("equivalentTransformation.UD.smoothingFactor", "0.8"),
        ("seed", -1),
        ("seed", True),
    ],
)
def test_a_wrong_value_names_its_path(path: str, value: Any) -> None:
    with pytest.raises(ConfigError, match=rf"^{re.escape(path)}\S* is "):
        CompileConfig.parse(nested(path, value))


def test_python_classes_raise_the_same_error() -> None:
    with pytest.raises(ConfigError, match="unknown key 'layer_overide'"):
        BitConfig(layer_overide=1)  # type: ignore[call-arg]


@pytest.mark.parametrize("content", ["", "{", "[1]", '{"bit": {}} x'])
def test_a_file_that_is_no_json_object_is_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "config.json"
    path.write_text(content)
    with pytest.raises(ConfigError) as caught:
        CompileConfig.load(path)
    assert caught.value.where == path


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        CompileConfig.load(tmp_path / "none.json")


def test_learning_what_cannot_be_learned_is_parsed_and_refused() -> None:
    settings = {"QkRotation": {"apply": True, "learn": True}}
    config = CompileConfig.parse({"equivalentTransformation": settings})
    with pytest.raises(ConfigError, match=r"QkRotation\.learn is true, but its search") as caught:
        require_supported(config)
    assert caught.value.mend == "leave out equivalentTransformation.QkRotation.learn"


def test_learning_what_is_not_applied_is_refused() -> None:
    config = CompileConfig.parse({"equivalentTransformation": {"VO": {"learn": True}}})
    with pytest.raises(ConfigError, match=r"VO\.learn is true, but .*VO\.apply is not"):
        require_supported(config)


def test_smoothing_what_is_not_scaled_is_refused() -> None:
    settings = {"apply": True, "smoothingFactor": 0.8}
    config = CompileConfig.parse({"equivalentTransformation": {"UD": settings}})
    require_supported(config)
    assert config.equivalent_transformation.ud.smoothing_factor == 0.8
    settings["apply"] = False
    config = CompileConfig.parse({"equivalentTransformation": {"UD": settings}})
    with pytest.raises(ConfigError, match=r"UD\.smoothingFactor is given, but .*UD\.apply is"):
        require_supported(config)


def test_the_configuration_of_the_tutorial_is_honoured() -> None:
    require_supported(CompileConfig.parse(json.loads(TUTORIAL)))


def test_the_fingerprint_follows_the_meaning_only() -> None:
    config = CompileConfig.parse(json.loads(TUTORIAL))
    elsewhere = json.loads(TUTORIAL)
    elsewhere["equivalentTransformation"]["HeadOutChRotation"]["matrixPath"] = "/other/R1.pth"
    assert CompileConfig.parse(elsewhere).fingerprint() == config.fingerprint()
    assert CompileConfig(seed=1).fingerprint() != CompileConfig().fingerprint()
    assert len(config.fingerprint()) == 64


def test_inference_schemes() -> None:
    assert [scheme.value for scheme in InferenceScheme] == [
        "single", "multi", "global4", "global8", "all",
    ]  # fmt: skip


def test_the_documentation_has_every_key_and_default() -> None:
    page = (ROOT / "docs" / "config.md").read_text("utf-8")
    document = CompileConfig().document()
    for path in leaves(document):
        value: Any = document
        for key in path.split("."):
            value = value[key]
        assert f"| `{path}` | `{json.dumps(value)}` |" in page, path
