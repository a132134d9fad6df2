"""Architecture: what is known of a model family before its checkpoint is read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from vlmforge.errors import SourceError


@dataclass(frozen=True)
class Architecture:
    """A supported model family.

    Attributes:
        components: what is compiled of it.
        prefixes: stored name prefix to canonical prefix; the first that matches counts.
            Canonical names start with ``language_model.``, ``visual.`` or are
            ``lm_head.weight``, whatever release of transformers wrote the checkpoint.
    """

    components: tuple[str, ...]
    prefixes: tuple[tuple[str, str], ...]

    def canonical(self, stored: str) -> str:
        """The canonical name of a stored tensor."""
        for prefix, replacement in self.prefixes:
            if stored.startswith(prefix):
                return replacement + stored[len(prefix) :]
        return stored


SUPPORTED: dict[str, Architecture] = {
    "Qwen2VLForConditionalGeneration": Architecture(
        components=("language", "vision"),
        prefixes=(
            ("model.language_model.model.", "language_model."),
            ("model.language_model.", "language_model."),
            ("model.visual.", "visual."),
            ("model.model.", "language_model."),
            ("model.", "language_model."),
        ),
    ),
    "Qwen2ForCausalLM": Architecture(
        components=("language",),
        prefixes=(("model.", "language_model."),),
    ),
}
"""``architectures[0]`` of ``config.json`` to what is known of it."""


def architecture_of(config: Mapping[str, Any], where: object = None) -> str:
    """The key of :data:`SUPPORTED` that the ``config.json`` names.

    Raises:
        SourceError: the config names no architecture, an unsupported one, or quantized weights.
    """
    if "mxq_path" in config:
        raise SourceError(
            "the directory is a compiled package, not a model",
            where=where,
            mend="name the model it was compiled from; a package runs: `vlmforge chat PACKAGE`",
        )
    named = config.get("architectures")
    supported = ", ".join(SUPPORTED)
    if not (isinstance(named, list) and named and isinstance(named[0], str)):
        raise SourceError(
            "config.json names no architecture",
            where=where,
            mend=f"choose an original checkpoint of: {supported}",
        )
    if named[0] not in SUPPORTED:
        raise SourceError(
            f"models of the architecture {named[0]} are not supported",
            where=where,
            mend=f"choose a model of: {supported}",
        )
    if "quantization_config" in config:
        raise SourceError(
            "the checkpoint is quantized already",
            where=where,
            mend="choose the original checkpoint, in bfloat16, float16 or float32",
        )
    return named[0]
