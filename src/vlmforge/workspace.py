"""Where the stages of one compilation leave their files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from vlmforge.errors import FormatError
from vlmforge.formats.rotation import r1_path

SUFFIXES = {"language": "text_model", "vision": "vision_transformer"}
COMPONENTS = tuple(SUFFIXES)


@dataclass(frozen=True)
class Workspace:
    """The files of one model below one directory.

    Attributes:
        root: the work directory.
        name: of the model, such as ``Qwen2-VL-2B-Instruct``.
        spin_weight_dir: where rotations are kept; ``root / "spinWeight"`` by default.
    """

    root: Path
    name: str
    spin_weight_dir: Path | None = None

    @property
    def images(self) -> Path:
        return self.root / "images"

    @property
    def calibration(self) -> Path:
        return self.root / "calibration_data"

    @property
    def rotation(self) -> Path:
        return r1_path(self.spin_weight_dir or self.root / "spinWeight", f"{self.name}_text_model")

    def mblt(self, component: str) -> Path:
        """The captured graph; ``.infer`` and ``.json`` stand beside it."""
        return self._file("mblt", component)

    def mxq(self, component: str) -> Path:
        """The integer program."""
        return self._file("mxq", component)

    def _file(self, kind: str, component: str) -> Path:
        return self.root / kind / f"{self.name}_{SUFFIXES[component]}.{kind}"

    @staticmethod
    def find_mblt(root: Path, component: str) -> Path:
        """The only captured graph of a component below ``root``.

        Raises:
            FormatError: there is none, or there are several.
        """
        found = sorted((root / "mblt").glob(f"*_{SUFFIXES[component]}.mblt"))
        if len(found) == 1:
            return found[0]
        if not found:
            mend = f"run `vlmforge mblt {component} MODEL`"
            raise FormatError(f"there is no captured {component} graph", where=root, mend=mend)
        raise FormatError(
            f"there are {len(found)} captured {component} graphs",
            where=found[0].parent,
            mend="name one with --mblt",
        )

    @staticmethod
    def of_mblt(
        path: Path, component: str, root: Path, spin_weight_dir: Path | None = None
    ) -> Workspace:
        """The workspace of the model a captured graph belongs to, by its file name."""
        name = path.stem.removesuffix(f"_{SUFFIXES[component]}")
        return Workspace(root, name, spin_weight_dir)
