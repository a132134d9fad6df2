"""Every setting of the configuration classes that are read has a fate."""

from __future__ import annotations

import dataclasses

import pytest
import transformers

from vlmforge.graph.ops import ACTIVATIONS
from vlmforge.source import fields
from vlmforge.source.architecture import SUPPORTED


def config_classes() -> list[type[transformers.PreTrainedConfig]]:
    """The configuration classes of all supported architectures and what lies within them."""
    whole = [getattr(transformers, name).config_class for name in SUPPORTED]
    within = [
        spec.config_class
        for kind in whole
        for spec in kind().sub_configs_defaults.values()
    ]  # fmt: skip
    return [*whole, *within]


@pytest.mark.parametrize("kind", config_classes(), ids=lambda kind: kind.__name__)
def test_no_setting_is_unclassified(kind: type[transformers.PreTrainedConfig]) -> None:
    known = fields.FIELDS[kind.__name__].keys()
    assert {field.name for field in dataclasses.fields(kind)} - known == set()
    assert set(kind.attribute_map) - known - {"num_attention_heads", "num_hidden_layers"} == set()


@pytest.mark.parametrize("kind", config_classes(), ids=lambda kind: kind.__name__)
def test_nothing_a_class_writes_is_unclassified(
    kind: type[transformers.PreTrainedConfig],
) -> None:
    assert set(kind().to_dict()) - fields.FIELDS[kind.__name__].keys() == set()


def test_no_setting_of_rope_is_unclassified() -> None:
    declared = set(transformers.modeling_rope_utils.RopeParameters.__annotations__)
    long = {"short_factor", "long_factor"}  # of longrope, whose kind is refused
    assert declared - long - fields.ROPE_FIELDS["decoder"].keys() == set()


def test_the_machine_has_the_activations_that_are_honoured() -> None:
    assert set(fields.ACTIVATIONS) == set(ACTIVATIONS)
