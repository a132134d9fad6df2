"""Pass files: where an interrupted quantization finds how far its samples have come."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from vlmforge.config import BitConfig, CompileConfig
from vlmforge.formats.fingerprint import fingerprint
from vlmforge.formats.kept import SUFFIX, Digest
from vlmforge.formats.kept_file import KeptFile
from vlmforge.formats.rotation import Rotation
from vlmforge.stages.version import code_facts


@dataclass(frozen=True)
class PassFiles:
    """Files of the passes of samples before rounding.

    Their digests hold what the values follow from, not the values: where transformations are
    learned, or sums have no stated order, these do not tell, and nothing should be kept.

    Attributes:
        folder: of the files.
        facts: what all passes follow from.
    """

    folder: Path
    facts: Sequence[object]

    @staticmethod
    def of(
        folder: Path,
        model: Path | str,
        samples: str,
        config: CompileConfig,
        overrides: BitConfig.LayerOverrides,
    ) -> PassFiles:
        """The passes of a component's samples.

        Args:
            folder: of the files.
            model: the ``.mblt`` file.
            samples: their fingerprint.
            config: how to quantize.
            overrides: of this component.
        """
        asked = config.fingerprint(), overrides.model_dump(mode="json")
        code = code_facts("stages.mxq")
        return PassFiles(folder, (fingerprint(Path(model)), samples, asked, code))

    def file(self, name: str, rotation: Rotation | None) -> KeptFile:
        """That of one pass, over a graph whose features are in the basis of ``rotation``."""
        turned = None if rotation is None else rotation.fingerprint
        digest = Digest(name, turned, *self.facts)
        return KeptFile(self.folder / f"{name}{SUFFIX}", digest.hex())
