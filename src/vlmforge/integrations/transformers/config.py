"""``config.json`` of packages: the original model's with the paths of its compiled programs."""

from __future__ import annotations

from transformers import PreTrainedConfig

from vlmforge.families.family import Family
from vlmforge.integrations.transformers.verified import verifying


def config_class(family: Family) -> type[PreTrainedConfig]:
    """The configuration of a family's packages.

    It is the original's with ``mxq_path``, the file name of the text program; the tower's part
    names the vision program alike.
    """
    original = family.model_class.config_class
    name = f"Mobilint{original.__name__}"
    facts = {
        "__module__": __name__,
        "__annotations__": {"mxq_path": "str | None"},
        "mxq_path": None,
        "model_type": family.package_type,
    }
    made: type[PreTrainedConfig] = type(name, (original,), facts)
    return verifying(made)
