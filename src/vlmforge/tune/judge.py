"""Judge: what rounding does to the predictions of the whole model, on a few samples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import mean

import torch
from torch import Tensor

from vlmforge.errors import CalibrationError
from vlmforge.formats.samples import read_samples
from vlmforge.graph.feeds import row_count
from vlmforge.graph.residual import STREAM_INPUTS
from vlmforge.progress import Progress
from vlmforge.stages.samples import original_picture
from vlmforge.stages.workspace import Workspace
from vlmforge.tune.component import Component
from vlmforge.tune.trial import Trial, run_trials

TOGETHER = 24
"""Trials run side by side; bounds the memory of their values."""

IMAGE = 1
"""Type of a token that stands for a part of an image."""


Given = dict[str, Tensor]
"""What a vision encoder gives of one image, by the names of its outputs."""


@dataclass(frozen=True)
class Score:
    """Mean KL(float ‖ rounded) of a prediction in nats, and how often the best token agrees."""

    kl: float
    top1: float


@dataclass(frozen=True)
class Whole:
    """A trial of both components; either may be missing and is then float."""

    language: Trial = field(default_factory=Trial)
    vision: Trial | None = None


@dataclass(frozen=True)
class Extent:
    """How much is run: samples, positions of each, and of those the last whose predictions count.

    Samples are taken evenly from all there are.
    """

    samples: int = 2
    length: int = 256
    rows: int = 64


class Judge:
    """Scores trials.

    Args:
        space: where the samples are.
        language: the language component.
        vision: the vision component; None for a plain decoder.
        extent: how much is run.
        progress: is told of every node.
    """

    def __init__(
        self,
        space: Workspace,
        language: Component,
        vision: Component | None,
        extent: Extent,
        progress: Progress | None = None,
    ) -> None:
        self.language, self.vision, self.progress = language, vision, progress
        chosen = _spread(len(language.samples), extent.samples)
        self.feeds = [_cut(language.samples[i](), extent) for i in chosen]
        self.images: list[Tensor] = []
        self.pixels: list[Mapping[str, Tensor]] = []
        if vision is not None:
            self.images = [_image_rows(space, i, extent) for i in chosen]
            self.pixels = [vision.samples[i]() for i in chosen]
        self.rows = {"language": len(self.feeds[0]["inputs_embeds"][0]), "vision": self._patches()}

    def _patches(self) -> int:
        """About the most rows of a product of the vision encoder; 0 without one."""
        if self.vision is None:
            return 0
        return round(mean(row_count(self.vision.graph, feeds) for feeds in self.pixels))

    def scores(self, trials: Sequence[Whole], doing: str) -> list[Score]:
        """The score of every trial, in order."""
        found: list[Score] = []
        for start in range(0, len(trials), TOGETHER):
            found += self._batch(trials[start : start + TOGETHER], doing)
        return found

    def _batch(self, trials: Sequence[Whole], doing: str) -> list[Score]:
        features = self._features([trial.vision for trial in trials], doing)
        entering = [
            Trial(trial.language.grids, trial.language.formats, self._entering(rows))
            for trial, rows in zip(trials, features, strict=True)
        ]
        kl, agreed = torch.zeros(len(trials)).double(), torch.zeros(len(trials)).double()
        rows = 0

        def measure(output: str, trial: int, sample: int, wanted: Tensor, got: Tensor) -> None:
            nonlocal rows
            rows += len(wanted) if trial == 0 else 0
            kl[trial] += divergence(wanted, got).sum()
            agreed[trial] += (wanted.argmax(-1) == got.argmax(-1)).sum()

        run_trials(self.language.graph, self.feeds, entering, measure, self.progress, doing)
        return [Score(float(kl[i]) / rows, float(agreed[i]) / rows) for i in range(len(trials))]

    def _features(self, trials: Sequence[Trial | None], doing: str) -> list[list[Given] | None]:
        """Image features of each trial of the vision encoder, sample by sample."""
        found: list[list[Given] | None] = [None for _ in trials]
        wanted = [index for index, trial in enumerate(trials) if trial is not None]
        if self.vision is None or not wanted:
            return found
        features: list[list[Given]] = [[{} for _ in self.pixels] for _ in wanted]

        orders = [original_picture(self.vision.graph, feeds).tokens for feeds in self.pixels]

        def keep(output: str, trial: int, sample: int, base: Tensor, got: Tensor) -> None:
            features[trial][sample][output] = got[orders[sample].argsort()]

        chosen = [trial for trial in trials if trial is not None]
        run_trials(self.vision.graph, self.pixels, chosen, keep, self.progress, doing)
        for index, rows in zip(wanted, features, strict=True):
            found[index] = rows
        return found

    def _entering(self, features: list[Given] | None) -> Sequence[Mapping[str, Tensor]]:
        """The language model's inputs with other image features."""
        if features is None or self.vision is None:
            return ()
        names = ("inputs_embeds", *self.language.graph.meta.get(STREAM_INPUTS, ()))
        pairs = list(zip(names, self.vision.graph.outputs, strict=True))
        changed = []
        for feeds, image, given in zip(self.feeds, self.images, features, strict=True):
            own = {name: feeds[name].clone() for name in names}
            for name, output in pairs:
                own[name][0, image] = given[output][: len(image)]
            changed.append(own)
        return changed


def divergence(wanted: Tensor, got: Tensor) -> Tensor:
    """KL(wanted ‖ got) in nats of logits ``[rows, vocab]``: float64 ``[rows]``."""
    expected, found = (logits.double().log_softmax(-1) for logits in (wanted, got))
    return (expected.exp() * (expected - found)).sum(-1)


def _spread(total: int, count: int) -> list[int]:
    count = min(total, count)
    return [index * total // count for index in range(count)]


def _cut(feeds: Mapping[str, Tensor], extent: Extent) -> dict[str, Tensor]:
    seq = min(feeds["inputs_embeds"].shape[1], extent.length)
    cut = {name: value[:, :seq] for name, value in feeds.items() if name != "logits_index"}
    return {**cut, "logits_index": torch.arange(max(0, seq - extent.rows), seq)}


def _image_rows(space: Workspace, index: int, extent: Extent) -> Tensor:
    """Positions of the image tokens of a language sample; the same vision sample is its image."""
    language = read_samples(space.calibration, "language")[index]
    vision = read_samples(space.calibration, "vision")[index]
    if language.facts.get("image") != vision.facts.get("image"):
        raise CalibrationError(
            "language and vision samples were not made of the same images",
            where=space.calibration,
            mend="make both again of the same images: `vlmforge calibrate COMPONENT MODEL`",
        )
    types = torch.from_numpy(language.load()["token_types"][: extent.length])
    return (types == IMAGE).nonzero()[:, 0]
