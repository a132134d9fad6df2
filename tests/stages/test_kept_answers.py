"""An interrupted calibration goes on with the batch of questions it was at, to the same samples."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.tasks.copies import Copies
from vlmforge.calibrate import record
from vlmforge.calibrate.answers import OwnAnswers
from vlmforge.calibrate.images import SYNTHETIC
from vlmforge.calibrate.questions import Question
from vlmforge.decode.generate import Options
from vlmforge.serve.answer import Answer
from vlmforge.serve.engine import Engine
from vlmforge.source.checkpoint import Checkpoint
from vlmforge.stages import draft, steps
from vlmforge.stages.calibration import Calibration
from vlmforge.stages.facts import sample_facts
from vlmforge.stages.plan import Plan
from vlmforge.stages.steps import Job
from vlmforge.stages.workspace import Workspace
from vlmforge.tasks.here import HERE
from vlmforge.tasks.tasks import Tasks

ASKED = Calibration(SYNTHETIC, num_samples=7, max_new_tokens=5)
BATCHES = [[0, 1], [2, 3], [4, 5], [6]]


@pytest.fixture(autouse=True)
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(record, "BATCH", 2)


class Original:
    """Whom the original was asked about, batch by batch; it is interrupted before one."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.asked, self.interrupted_at = list[list[int]](), -1
        answer = OwnAnswers.__call__

        def watched(own: OwnAnswers, questions: Sequence[Question], prompts: Any) -> Any:
            if len(self.asked) == self.interrupted_at:
                raise KeyboardInterrupt
            self.asked.append([each.index for each in questions])
            return answer(own, questions, prompts)

        monkeypatch.setattr(OwnAnswers, "__call__", watched)

    def interrupt(self, model: Path, root: Path, before: int, tasks: Tasks = HERE) -> None:
        self.asked, self.interrupted_at = [], before
        with pytest.raises(KeyboardInterrupt):
            calibrate(model, root, tasks=tasks)
        assert self.asked == BATCHES[:before]
        self.asked, self.interrupted_at = [], -1


@pytest.fixture
def original(monkeypatch: pytest.MonkeyPatch) -> Original:
    return Original(monkeypatch)


def calibrate(
    model: Path,
    root: Path,
    asked: Calibration = ASKED,
    progress: Any = None,
    tasks: Tasks = HERE,
) -> None:
    """Language samples below a work directory."""
    checkpoint = Checkpoint.open(str(model))
    job = Job(checkpoint, Workspace(root, checkpoint.name), progress=progress, tasks=tasks)
    answers = steps.answers(job, asked, sample_facts(asked))
    Plan.of(job.space).run([steps.images(job, asked), answers])


def bits(root: Path) -> dict[str, str]:
    """SHA-256 of the arrays of the samples, and what is told of each."""
    place = root / "calibration_data" / "language"
    files = sorted(place.rglob("*.npy"))
    told = json.loads((place / "metadata.json").read_text())
    for each in told["samples"]:
        del each["directory"]
    found = {str(f.relative_to(place)): hashlib.sha256(f.read_bytes()).hexdigest() for f in files}
    return {**found, "metadata": json.dumps(told)}


@pytest.mark.parametrize("tasks", [HERE, Copies()], ids=["here", "elsewhere"])
def test_only_the_batch_that_was_interrupted_is_asked_again(
    tiny_checkpoint: Path, tmp_path: Path, original: Original, tasks: Tasks
) -> None:
    calibrate(tiny_checkpoint, tmp_path / "whole")
    assert original.asked == BATCHES
    original.interrupt(tiny_checkpoint, tmp_path / "other", 2, tasks=tasks)
    assert not (tmp_path / "other" / "calibration_data" / "language").exists()
    calibrate(tiny_checkpoint, tmp_path / "other", tasks=tasks)
    assert original.asked == BATCHES[2:]
    assert bits(tmp_path / "other") == bits(tmp_path / "whole")
    assert not (tmp_path / "other" / "kept").exists()


def test_a_damaged_file_is_not_taken(
    tiny_checkpoint: Path, tmp_path: Path, original: Original
) -> None:
    original.interrupt(tiny_checkpoint, tmp_path, 3)
    first, second, _ = sorted((tmp_path / "kept" / "answers").iterdir())
    first.write_bytes(first.read_bytes()[:-1])
    data = bytearray(second.read_bytes())
    data[-1] ^= 1
    second.write_bytes(data)
    calibrate(tiny_checkpoint, tmp_path)
    assert original.asked == [*BATCHES[:2], BATCHES[3]]


def another_model(model: Path) -> None:
    settings = json.loads((model / "config.json").read_text())
    (model / "config.json").write_text(json.dumps({**settings, "rms_norm_eps": 1e-5}))


def another_template(model: Path) -> None:
    path = model / "tokenizer_config.json"
    path.write_text(path.read_text().replace("helpful", "terse"))


@pytest.mark.parametrize(
    "change",
    [{"seed": 1}, {"dtype": "bfloat16"}, {"max_new_tokens": 4}, another_model, another_template],
)
def test_answers_that_follow_from_something_else_are_not_taken(
    tiny_checkpoint: Path, tmp_path: Path, original: Original, change: Any
) -> None:
    model = Path(shutil.copytree(tiny_checkpoint, tmp_path / "Tiny-VL"))
    original.interrupt(model, tmp_path / "work", 2)
    asked = ASKED
    if callable(change):
        change(model)
    else:
        asked = Calibration(**{**vars(ASKED), **change})
    calibrate(model, tmp_path / "work", asked)
    assert original.asked == BATCHES
    assert not (tmp_path / "work" / "kept").exists()


def test_kept_answers_go_even_where_their_removal_was_interrupted(
    tiny_checkpoint: Path, tmp_path: Path, original: Original, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(steps, "clear_answers", _killed)
        with pytest.raises(KeyboardInterrupt):
            calibrate(tiny_checkpoint, tmp_path)
    assert (tmp_path / "kept" / "answers").exists()
    original.asked = []
    calibrate(tiny_checkpoint, tmp_path)
    assert not original.asked and not (tmp_path / "kept").exists()


def _killed(*_: object) -> None:
    raise KeyboardInterrupt


class Draft:
    """How often a draft was compiled, and how many questions it was asked."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.compiled, self.asked = 0, 0
        compile_draft, submit = draft._compile, Engine.submit

        def watched_compile(*arguments: Any) -> None:
            self.compiled += 1
            compile_draft(*arguments)

        def watched_submit(
            engine: Engine, messages: Any, options: Options, **others: Any
        ) -> Answer:
            self.asked += 1
            return submit(engine, messages, options, **others)

        monkeypatch.setattr(draft, "_compile", watched_compile)
        monkeypatch.setattr(Engine, "submit", watched_submit)


def test_a_draft_is_compiled_once_and_asked_for_the_rest(
    tiny_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = Calibration(SYNTHETIC, num_samples=7, max_new_tokens=5, answers="draft")
    calibrate(tiny_checkpoint, tmp_path / "whole", asked)
    assert not (tmp_path / "whole" / "kept").exists()

    def interrupted(text: str, done: int, _: int) -> None:
        if text == "answers of a draft" and done == 3:
            raise KeyboardInterrupt

    watched, root = Draft(monkeypatch), tmp_path / "other"
    with pytest.raises(KeyboardInterrupt):
        calibrate(tiny_checkpoint, root, asked, interrupted)
    kept = root / "kept" / "answers"
    assert (watched.compiled, len(list(kept.glob("*.kept")))) == (1, 3)
    watched.asked = 0
    calibrate(tiny_checkpoint, root, asked)
    assert (watched.compiled, watched.asked) == (1, 4)
    assert bits(root) == bits(tmp_path / "whole")
    assert {path.name for path in root.iterdir()} == {"images", "calibration_data", "steps"}


def test_a_draft_of_another_model_is_not_taken(
    tiny_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = Calibration(SYNTHETIC, num_samples=3, max_new_tokens=5, answers="draft")
    model, watched = (
        Path(shutil.copytree(tiny_checkpoint, tmp_path / "Tiny-VL")),
        Draft(monkeypatch),
    )
    with monkeypatch.context() as patched:
        patched.setattr(draft, "_asked", _killed)
        with pytest.raises(KeyboardInterrupt):
            calibrate(model, tmp_path / "work", asked)
    another_template(model)
    calibrate(model, tmp_path / "work", asked)
    assert (watched.compiled, watched.asked) == (2, 3)
