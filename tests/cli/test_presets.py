"""A preset stands for a configuration, and does not quietly override one."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from vlmforge.cli.presets import Weights, load_config, load_configs
from vlmforge.config import CompileConfig
from vlmforge.errors import ConfigError


def write(path: Path, transformer: dict[str, object]) -> Path:
    path.write_text(json.dumps({"seed": 5, "bit": {"transformer": transformer}}))
    return path


def test_int8_is_the_default() -> None:
    assert load_config(None, Weights.INT8) == load_config(None) == CompileConfig()


def test_int4_is_in_groups_with_an_8_bit_head() -> None:
    made = load_config(None, Weights.INT4).bit.transformer
    assert set(made.weight.model_dump().values()) == {4, 8}
    assert made.weight.head == 8 and made.weight_group == 128
    assert not load_config(None, Weights.INT4).learn_rounding.apply


def test_a_preset_joins_a_configuration(tmp_path: Path) -> None:
    path = write(tmp_path / "c.json", {"weight": {"ffn": 4}, "weightGroup": 128})
    made = load_config(path, Weights.INT4)
    assert made.seed == 5 and made.bit == load_config(None, Weights.INT4).bit


@pytest.mark.parametrize(
    ("transformer", "weights", "key"),
    [
        ({"weight": {"ffn": 8}}, Weights.INT4, "weight.ffn is 8"),
        ({"weight": {"head": 4}}, Weights.INT4, "weight.head is 4"),
        ({"weight": {"query": 4}}, Weights.INT8, "weight.query is 4"),
        ({"weightGroup": 32}, Weights.INT4, "weightGroup is 32"),
        ({"weightGroup": None}, Weights.INT4, "weightGroup is None"),
    ],
)
def test_contradictions_are_named(
    transformer: dict[str, object], weights: Weights, key: str, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=key):
        load_config(write(tmp_path / "c.json", transformer), weights)


def test_groups_mean_nothing_to_int8(tmp_path: Path) -> None:
    load_config(write(tmp_path / "c.json", {"weightGroup": 32}), Weights.INT8)


def test_of_several_configurations_each_has_its_files_name(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    for name, seed in (("x.json", 1), ("y.json", 2), ("b/x.json", 3)):
        (tmp_path / name).write_text(json.dumps({"seed": seed}))
    found = load_configs([tmp_path / "x.json", tmp_path / "y.json"])
    assert isinstance(found, dict) and {n: c.seed for n, c in found.items()} == {"x": 1, "y": 2}
    assert load_configs([tmp_path / "x.json"]) == CompileConfig(seed=1)
    assert load_configs([]) == CompileConfig()
    with pytest.raises(ConfigError, match="two configurations are called x"):
        load_configs([tmp_path / "x.json", tmp_path / "b" / "x.json"])
