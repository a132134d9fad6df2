"""The steps of a compilation: what each runs, reads and makes, and what its files follow from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path

from vlmforge.calibrate.answers import DRAFT, OWN
from vlmforge.calibrate.images import collect_images
from vlmforge.calibrate.kept import KeptAnswers
from vlmforge.calibrate.record import record_vision
from vlmforge.calibrate.text import record_text
from vlmforge.config import CompileConfig, InferenceScheme
from vlmforge.families.family import LANGUAGE, VISION
from vlmforge.formats.kept import clear_kept
from vlmforge.formats.mxq import read_mxq
from vlmforge.formats.package import SIGNATURE_FILE
from vlmforge.formats.rotation import sidecar_path
from vlmforge.progress import Progress
from vlmforge.signing.keys import SigningKey
from vlmforge.source.checkpoint import Checkpoint
from vlmforge.stages import facts
from vlmforge.stages.calibration import Calibration, calibrate_language
from vlmforge.stages.draft import clear_answers
from vlmforge.stages.mblt import mblt_compile
from vlmforge.stages.mxq import mxq_compile
from vlmforge.stages.overrides import workspace_overrides
from vlmforge.stages.package import write_package
from vlmforge.stages.preflight import require_material
from vlmforge.stages.step import Facts, Step
from vlmforge.stages.version import code_facts, computing_facts
from vlmforge.stages.workspace import Workspace
from vlmforge.tasks.here import HERE
from vlmforge.tasks.tasks import Tasks


@dataclass(frozen=True)
class Job:
    """What is compiled, and where.

    Attributes:
        checkpoint: of the model.
        space: where its files are.
        device: where to compute, ``"cpu"`` or ``"gpu"``.
        progress: is told of every step.
        tasks: who answers questions and rounds weights; no file depends on it.
    """

    checkpoint: Checkpoint
    space: Workspace
    device: str = "cpu"
    progress: Progress | None = None
    tasks: Tasks = HERE

    @property
    def parts(self) -> tuple[str, ...]:
        """The components of the model, the language model first."""
        return self.checkpoint.components

    def called(self, name: str) -> str:
        """The name of a step that follows from the configuration, where there are several."""
        named = self.space.configuration
        return name if named is None else f"{name} of {named}"

    @cached_property
    def model(self) -> Facts:
        """The facts of the model."""
        self.checkpoint.fingerprint(self.progress)
        return facts.model_facts(self.checkpoint)


def check(job: Job, calibration: Calibration, samples: Sequence[Step]) -> Step:
    """Nothing is made: model, images and texts are looked at."""
    asked = {key: value for step in samples for key, value in step.facts.items()}
    return Step(
        name="check",
        run=partial(require_material, job.checkpoint, calibration, job.progress),
        facts=asked | code_facts("stages.preflight"),
    )


def images(job: Job, calibration: Calibration) -> Step:
    """A directory of images."""
    count, source, seed = calibration.num_samples, calibration.images, calibration.seed
    where, layout = job.space.images, calibration.layout
    return Step(
        name="images",
        run=partial(collect_images, where, count, source, seed, job.progress, layout=layout),
        makes=(where,),
        facts=facts.image_facts(calibration) | code_facts("calibrate.images"),
    )


def answers(job: Job, calibration: Calibration, shown: Facts) -> Step:
    """Images, questions and the original's answers to language samples.

    ``shown`` are :func:`vlmforge.stages.facts.sample_facts`, as of :func:`pictures`.
    """
    images = None if calibration.answers_file else job.space.images
    where = (job.checkpoint, images, job.space.calibration)
    asked = facts.answer_facts(job.checkpoint, calibration, job.device)
    asking = "stages.draft" if calibration.answers == DRAFT else "calibrate.record"
    all_facts = job.model | shown | asked | code_facts(asking)
    kept = KeptAnswers(job.space.kept_answers, all_facts | computing_facts())
    return Step(
        name="calibrate language",
        run=partial(
            calibrate_language, *where, calibration, job.device, job.progress, kept, job.tasks
        ),
        makes=(job.space.samples(LANGUAGE),),
        reads=() if images is None else (images,),
        facts=all_facts,
        keeps=job.space.kept_answers,
        tidy=partial(clear_answers, job.space.kept_answers),
    )


def pictures(job: Job, calibration: Calibration, shown: Facts) -> Step:
    """Images to vision samples."""
    images = None if calibration.answers_file else job.space.images
    where = (job.checkpoint, images, job.space.calibration, calibration.num_samples)
    answers = calibration.answers if images is None else OWN
    run = partial(
        record_vision, *where, calibration.layout, job.progress,
        answers=answers, seed=calibration.seed,
    )  # fmt: skip
    return Step(
        name="calibrate vision",
        run=run,
        makes=(job.space.samples(VISION),),
        reads=() if images is None else (images,),
        facts=job.model | shown | code_facts("calibrate.record"),
    )


def text_samples(job: Job, calibration: Calibration) -> Step:
    """Texts to language samples."""
    text, place = calibration.text, job.space.calibration
    assert text is not None, "a plain decoder is calibrated with texts"
    chosen = (calibration.num_samples, text.length, calibration.seed)
    return Step(
        name="calibrate text",
        run=partial(record_text, job.checkpoint, text.files, place, *chosen, job.progress),
        makes=(job.space.samples(LANGUAGE),),
        facts=job.model | facts.text_facts(calibration) | code_facts("calibrate.text"),
    )


def graph(job: Job, part: str) -> Step:
    """A component of the checkpoint to a captured graph, checked on a sample."""
    place, data = job.space.mblt(part), job.space.calibration
    return Step(
        name=f"mblt {part}",
        run=partial(mblt_compile, job.checkpoint, part, place, data, job.progress),
        makes=tuple(path for path, _ in job.space.graph_outputs(part)),
        reads=(job.space.samples(part),),
        facts=job.model | code_facts("stages.mblt"),
    )


def program(job: Job, part: str, config: CompileConfig, scheme: InferenceScheme) -> Step:
    """A captured graph and samples to an integer program; the language model's leaves R1."""
    space, first = job.space, part == LANGUAGE
    rotation = _rotation(space, config)
    asked = {"inference scheme": scheme.value, "device": job.device}

    def run() -> None:
        mxq_compile(
            space.mblt(part),
            space.mxq(part),
            space.calibration,
            job.device,
            scheme,
            config,
            space.rotation,
            workspace_overrides(config, space)[part],
            job.progress,
            space.kept(part),
            job.tasks,
        )

    return Step(
        name=job.called(f"mxq {part}"),
        run=run,
        makes=(space.mxq(part), *(rotation if first else ())),
        reads=(space.mblt(part), space.samples(part), *(() if first else rotation)),
        facts=asked | facts.config_facts(config) | code_facts("stages.mxq", "stages.overrides"),
        short=partial(_stopped, space.mxq(part)),
        keeps=space.kept(part),
        tidy=partial(clear_kept, space.kept(part)),
    )


def package(job: Job, config: CompileConfig, out: Path, sign: SigningKey | None = None) -> Step:
    """Integer programs, and what of the checkpoint running needs, to a directory that runs."""
    programs = tuple(job.space.mxq(part) for part in job.parts)
    signed = {} if sign is None else {"signing key": sign.fingerprint}
    return Step(
        name=job.called("package"),
        run=partial(write_package, job.checkpoint, job.space, out, config, sign),
        makes=(out,),
        reads=(*programs, *_rotation(job.space, config)),
        facts=job.model | signed | code_facts("stages.package"),
        added=(SIGNATURE_FILE,) if sign is None else (),
    )


def _stopped(program: Path) -> Facts:
    """Whether the user ended the learning of a program."""
    learning = read_mxq(program, verify=False).meta.get("learning")
    return {} if learning is None else {"end of learning": str(learning)}


def _rotation(space: Workspace, config: CompileConfig) -> tuple[Path, ...]:
    """The files of R1, where it applies."""
    if not config.equivalent_transformation.spin_r1.apply:
        return ()
    return space.rotation, sidecar_path(space.rotation)
