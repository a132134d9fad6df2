"""Every setting of the configuration classes that are read has a fate."""

from __future__ import annotations

import dataclasses

import pytest
import transformers
from transformers import CONFIG_MAPPING, AutoConfig

from vlmforge.families.registry import families

FIELDS = {name: known for each in families().values() for name, known in each.fields.items()}


def config_classes() -> list[type[transformers.PreTrainedConfig]]:
    """The configuration classes of all families and what lies within them."""
    whole = [family.model_class.config_class for family in families().values()]
    within = {
        CONFIG_MAPPING[model_type] if spec.config_class is AutoConfig else spec.config_class
        for family, kind in zip(families().values(), whole, strict=True)
        for spec in kind().sub_configs_defaults.values()
        for model_type in family.decoders or [""]
    }
    return [*whole, *sorted(within - {*whole}, key=lambda kind: kind.__name__)]


@pytest.mark.parametrize("kind", config_classes(), ids=lambda kind: kind.__name__)
def test_no_setting_is_unclassified(kind: type[transformers.PreTrainedConfig]) -> None:
    known = FIELDS[kind.__name__].keys()
    assert {field.name for field in dataclasses.fields(kind)} - known == set()
    assert set(kind.attribute_map) - known - {"num_attention_heads", "num_hidden_layers"} == set()


@pytest.mark.parametrize("kind", config_classes(), ids=lambda kind: kind.__name__)
def test_nothing_a_class_writes_is_unclassified(
    kind: type[transformers.PreTrainedConfig],
) -> None:
    assert set(kind().to_dict()) - FIELDS[kind.__name__].keys() == set()


def test_no_setting_of_rope_is_unclassified() -> None:
    declared = set(transformers.modeling_rope_utils.RopeParameters.__annotations__)
    known = {key for family in families().values() for key in family.decoder.rope_fields}
    assert declared - known == set()
