"""Family: all that is particular to a model family, in one declaration.

Everything that compiles works on what this says; nothing else asks for the name of an architecture.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import TYPE_CHECKING

from vlmforge.families.decoder import Decoder
from vlmforge.families.fields import Fields
from vlmforge.families.processor import Processor
from vlmforge.families.tower import Tower

if TYPE_CHECKING:
    from transformers import PreTrainedModel

LANGUAGE, VISION = "language", "vision"
"""The components: the text decoder and the vision encoder."""


@dataclass(frozen=True)
class Family:
    """A model family.

    Attributes:
        architecture: of the original, as ``architectures[0]`` of ``config.json`` names it.
        prefixes: stored name prefix to canonical prefix; the first that matches counts. Canonical
            names start with ``language_model.``, ``visual.`` or are ``lm_head.weight``, whatever
            release of transformers wrote the checkpoint.
        fields: configuration class to the fate of each of its settings, older spellings included.
            A flat ``config.json`` has the decoder's settings at its root.
        decoder: the text decoder.
        decoders: those that a checkpoint may have, by the ``model_type`` of their settings; none
            where all have the same.
        tower: the vision encoder; None for a plain decoder.
        processor: of what the tower sees.
        module: where the class of the original model is.
        models: names and sizes of those that are published, for people.
        particular: what sets it apart from others, for people.
    """

    architecture: str
    prefixes: tuple[tuple[str, str], ...]
    fields: Mapping[str, Fields]
    decoder: Decoder
    decoders: Mapping[str, Decoder] = field(default_factory=dict)
    tower: Tower | None = None
    processor: Processor = field(default_factory=Processor)
    module: str = "transformers"
    models: str = ""
    particular: str = ""

    @property
    def components(self) -> tuple[str, ...]:
        """What is compiled of it; the decoder first, as the tower takes on its rotation."""
        return (LANGUAGE,) if self.tower is None else (LANGUAGE, VISION)

    @property
    def parts(self) -> tuple[Decoder | Tower, ...]:
        """The decoder, and the tower if there is one."""
        return (self.decoder,) if self.tower is None else (self.decoder, self.tower)

    @property
    def model_class(self) -> type[PreTrainedModel]:
        """The class of the original model."""
        found: type[PreTrainedModel] = getattr(import_module(self.module), self.architecture)
        return found

    @property
    def package_architecture(self) -> str:
        """``architectures[0]`` of packages, and the class that Hugging Face's interface opens."""
        return f"Mobilint{self.architecture}"

    @property
    def package_type(self) -> str:
        """``model_type`` of packages."""
        return f"mobilint-{self.model_class.config_class.model_type}"

    @property
    def package_embedding(self) -> str:
        """The tensor of packages that holds the token embedding, as transformers names it."""
        return f"{self.decoder.path}.embed_tokens.weight"

    def canonical(self, stored: str) -> str:
        """The canonical name of a stored tensor."""
        for prefix, replacement in self.prefixes:
            if stored.startswith(prefix):
                return replacement + stored[len(prefix) :]
        return stored
