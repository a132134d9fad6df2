"""Where the stages of one compilation leave their files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from vlmforge.errors import FormatError
from vlmforge.formats.kind import Kind
from vlmforge.formats.kinds import (
    CAPTURE_REPORT,
    FOLDER,
    GRAPH,
    IMAGES,
    KEPT,
    PACKAGE,
    PROGRAM,
    ROTATION,
    SAMPLES,
    STEP_RECORD,
    VALUES,
)
from vlmforge.formats.output import require_replaceable
from vlmforge.formats.rotation import r1_path

SUFFIXES = {"language": "text_model", "vision": "vision_transformer"}
COMPONENTS = tuple(SUFFIXES)


DRAFT_FOLDER = "draft"
"""Where a draft is, among kept answers."""


@dataclass(frozen=True)
class Workspace:
    """The files of one model below one directory.

    Attributes:
        root: the work directory.
        name: of the model, such as ``Qwen2-VL-2B-Instruct``.
        spin_weight_dir: where rotations are kept; ``root / "spinWeight"`` by default.
        configuration: of several that share graphs and samples, the one whose programs these are.
    """

    root: Path
    name: str
    spin_weight_dir: Path | None = None
    configuration: str | None = None

    @property
    def images(self) -> Path:
        return self.root / "images"

    @property
    def calibration(self) -> Path:
        return self.root / "calibration_data"

    def samples(self, component: str) -> Path:
        """The calibration samples of a component."""
        return self.calibration / component

    @property
    def records(self) -> Path:
        """What is made already, step by step."""
        return self.root / "steps"

    @property
    def rotation(self) -> Path:
        return r1_path(self.spin_weight_dir or self._own / "spinWeight", f"{self.name}_text_model")

    def mblt(self, component: str) -> Path:
        """The captured graph; ``.infer`` and ``.json`` stand beside it."""
        return self.root / self._file("mblt", component)

    def report(self, component: str) -> Path:
        """How the captured graph compares with the original."""
        return self.mblt(component).with_suffix(".json")

    @property
    def captured(self) -> list[str]:
        """The components whose graphs are there, the language model first."""
        return [component for component in COMPONENTS if self.mblt(component).is_file()]

    def mxq(self, component: str) -> Path:
        """The integer program."""
        return self._own / self._file("mxq", component)

    def kept(self, component: str) -> Path:
        """Where an interrupted quantization has rounded weights, and how far samples are."""
        return self._own / "kept" / component

    @property
    def kept_answers(self) -> Path:
        """Where the answers are that an interrupted calibration has got, and a draft."""
        return self.root / "kept" / "answers"

    def graph_outputs(self, component: str) -> list[tuple[Path, Kind]]:
        """What the capture of a component writes."""
        graph, report = self.mblt(component), self.report(component)
        return [(graph, GRAPH), (graph.with_suffix(".infer"), VALUES), (report, CAPTURE_REPORT)]

    def program_outputs(self, component: str) -> list[tuple[Path, Kind]]:
        """What the quantization of a component writes."""
        program = [(self.mxq(component), PROGRAM)]
        return [*program, (self.rotation, ROTATION)] if component == "language" else program

    def require_replaceable(self) -> None:
        """Check, before any work, that what all stages write replaces nothing of the user's.

        Raises:
            VlmforgeError: as :func:`vlmforge.formats.output.require_replaceable`.
        """
        require_replaceable(self.root, FOLDER)
        require_replaceable(self.images, IMAGES)
        for folder in (self.records, self.kept_answers):
            for record in sorted(folder.glob("*.json")):
                require_replaceable(record, STEP_RECORD)
        for place in (self.root, self._own):
            for piece in sorted(place.glob("kept/*/*.kept")):
                require_replaceable(piece, KEPT)
        require_replaceable(self.kept_answers / DRAFT_FOLDER, PACKAGE)
        for component in COMPONENTS:
            require_replaceable(self.samples(component), SAMPLES)
            for path, kind in (*self.graph_outputs(component), *self.program_outputs(component)):
                require_replaceable(path, kind)

    def _file(self, kind: str, component: str) -> Path:
        return Path(kind, f"{self.name}_{SUFFIXES[component]}.{kind}")

    @property
    def _own(self) -> Path:
        """Where the files are that follow from the configuration."""
        named = self.configuration
        return self.root if named is None else self.root / "configurations" / named

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
            mend = (
                f"name its work directory with --work-dir, or run `vlmforge mblt {component} MODEL`"
            )
            raise FormatError(f"there is no captured {component} graph", where=root, mend=mend)
        raise FormatError(
            f"there are {len(found)} captured {component} graphs",
            where=found[0].parent,
            mend="name one with --mblt, or give each model a work directory of its own",
        )

    @staticmethod
    def of_mblt(
        path: Path, component: str, root: Path, spin_weight_dir: Path | None = None
    ) -> Workspace:
        """The workspace of the model a captured graph belongs to, by its file name."""
        name = path.stem.removesuffix(f"_{SUFFIXES[component]}")
        return Workspace(root, name, spin_weight_dir)
