"""Order: what a compilation is asked for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from vlmforge.calibrate.answers import OWN, AnswerSource
from vlmforge.calibrate.images import ImageSource
from vlmforge.config import CompileConfig, InferenceScheme
from vlmforge.images.layout import DYNAMIC, Layout
from vlmforge.signing.keys import SigningKey
from vlmforge.stages.calibration import Calibration, TextCalibration
from vlmforge.stages.steps import Job
from vlmforge.stages.workspace import Workspace

Choose = Callable[[Workspace, CompileConfig], CompileConfig]
"""Gives the configuration to quantize with, once graphs and samples are there."""


@dataclass(frozen=True)
class Variant:
    """A package to be made.

    Attributes:
        config: how to quantize.
        out: the directory.
        job: with the workspace of the configuration.
    """

    config: CompileConfig
    out: Path
    job: Job


@dataclass(frozen=True)
class Order:
    """What is asked for; the attributes are the arguments of ``vlmforge.compile``."""

    model: str | Path
    out: Path | str
    images: ImageSource = None
    text: TextCalibration | None = None
    num_samples: int = 100
    max_new_tokens: int = 500
    seed: int = 0
    config: CompileConfig | Mapping[str, CompileConfig] | None = None
    device: str = "cpu"
    dtype: str | None = None
    layout: Layout = DYNAMIC
    answers: AnswerSource = OWN
    scheme: InferenceScheme = InferenceScheme.ALL
    work_dir: Path | str | None = None
    sign: SigningKey | None = None
    choose: Choose | None = None
    fresh: bool = False
    ray: str | None = None

    @property
    def calibration(self) -> Calibration:
        """What the model is calibrated with."""
        given = (self.images, self.text, self.num_samples, self.max_new_tokens, self.seed)
        return Calibration(*given, self.dtype, self.layout, self.answers)

    @property
    def configs(self) -> Mapping[str | None, CompileConfig]:
        """The configurations by name; a single one has none."""
        if isinstance(self.config, Mapping):
            return dict[str | None, CompileConfig](self.config.items())
        return {None: self.config or CompileConfig()}

    @property
    def names(self) -> tuple[str, ...]:
        """Of several configurations."""
        return tuple(self.config) if isinstance(self.config, Mapping) else ()

    def variants(self, job: Job, out: Path) -> list[Variant]:
        """What is made of each configuration; ``out`` is the package, or the directory of all."""
        made = []
        for name, config in self.configs.items():
            space = replace(job.space, configuration=name)
            made.append(Variant(config, out / (name or ""), replace(job, space=space)))
        return made
