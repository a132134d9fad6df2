"""Plain decoders: compiled with text, asked, and compared with the original on text."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from tests.conftest import TEXT, write_decoder
from vlmforge.cli import app
from vlmforge.decode.generate import Options
from vlmforge.errors import CalibrationError, RunError
from vlmforge.evaluation.package import evaluate_package
from vlmforge.evaluation.text import score, spans
from vlmforge.evaluation.windows import Windowing
from vlmforge.formats.package import open_package
from vlmforge.formats.samples import read_samples
from vlmforge.original.text import TextReference
from vlmforge.pipeline import Summary, compile_model
from vlmforge.run.chat import Chat
from vlmforge.run.session import Session
from vlmforge.source.checkpoint import Checkpoint
from vlmforge.stages.calibration import TextCalibration


@pytest.fixture(scope="module")
def texts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    directory = tmp_path_factory.mktemp("texts")
    files = {name: directory / f"{name}.txt" for name in ("calibration", "evaluation")}
    files["calibration"].write_text(TEXT * 3, encoding="utf-8")
    files["evaluation"].write_text(TEXT[::-1], encoding="utf-8")
    return files


def compiled(model: Path, out: Path, text: Path) -> Summary:
    return compile_model(str(model), out, text=TextCalibration([text], 32), num_samples=4)


@pytest.fixture(scope="module")
def package(
    tiny_decoder: Path, texts: dict[str, Path], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    out = tmp_path_factory.mktemp("compiled") / "package"
    summary = compiled(tiny_decoder, out, texts["calibration"])
    assert summary.checks["language"] < 1e-5
    assert "mxq vision" not in summary.seconds
    return out


def test_a_plain_decoder_answers_without_images(package: Path) -> None:
    assert open_package(package).vision is None
    said: list[str] = []
    chat = Chat(Session.open(package), said.append, Options(max_new_tokens=3))
    chat.run(["Hello", "Again"])
    assert said.count("\n") == 2
    chat.show(Path("src/vlmforge/sample/demo/images/scene-999000001.png"))
    with pytest.raises(RunError):
        chat.ask("What is this?")


def test_evaluation_agrees_with_the_original(
    package: Path, tiny_decoder: Path, texts: dict[str, Path]
) -> None:
    windowing = Windowing(context=40, stride=25)
    found = evaluate_package(package, [texts["evaluation"]], windowing, str(tiny_decoder))
    assert 0 <= found["kl"] < 0.3  # two unrelated models of this kind: above 5
    assert found["top1_agreement"] > 0.7
    assert found["perplexity"] == pytest.approx(found["reference_perplexity"], rel=0.2)
    assert (found["context"], found["stride"]) == (40, 25)


def test_a_tied_head_is_untied(texts: dict[str, Path], tmp_path: Path) -> None:
    model = write_decoder(_made(tmp_path / "Tied-LM"), tied=True)
    compiled(model, tmp_path / "package", texts["calibration"])
    arguments = ([texts["evaluation"]], Windowing(context=64), str(model))
    assert evaluate_package(tmp_path / "package", *arguments)["kl"] < 0.3


def _made(directory: Path) -> Path:
    directory.mkdir()
    return directory


def test_the_reference_is_transformers(tiny_decoder: Path) -> None:
    reference = TextReference.load(Checkpoint.open(str(tiny_decoder)))
    ids = torch.randint(0, 300, (21,), generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        whole = reference.model(input_ids=ids[None]).logits[0].numpy()
    first, second = reference.logits(ids.numpy(), [(3, 8), (8, 20)])
    assert np.allclose(np.concatenate([first, second]), whole[3:20], atol=1e-5)


def test_a_vision_language_model_reads_text_too(tiny_checkpoint: Path) -> None:
    reference = TextReference.load(Checkpoint.open(str(tiny_checkpoint)))
    ids = torch.arange(12)
    with torch.inference_mode():
        whole = reference.model(input_ids=ids[None]).logits[0].numpy()
    (rows,) = reference.logits(ids.numpy(), [(0, 12)])
    assert np.allclose(rows, whole, atol=1e-5)


def test_samples_are_embedding_rows(package: Path, tiny_decoder: Path) -> None:
    samples = read_samples(package.with_name("package.work") / "calibration_data", "language")
    table = Checkpoint.open(str(tiny_decoder)).weight("language_model.embed_tokens.weight").load()
    assert samples.facts["length"] == 32
    rows = samples[0].load()["inputs_embeds"][0]
    assert rows.shape == (32, 96)
    assert all((table.numpy() == row).all(1).any() for row in rows)


@pytest.mark.parametrize("texts_given", [True, False])
def test_what_a_model_is_calibrated_with(
    tiny_checkpoint: Path, tiny_decoder: Path, tmp_path: Path, texts_given: bool
) -> None:
    text = TextCalibration([tmp_path / "a.txt"]) if texts_given else None
    model = tiny_checkpoint if texts_given else tiny_decoder
    with pytest.raises(CalibrationError, match="--calibration-text"):
        compile_model(str(model), tmp_path / "out", text=text)


def test_eval_command_states_the_windows(package: Path, texts: dict[str, Path]) -> None:
    arguments = ["eval", str(package), "--text", str(texts["evaluation"]), "--json"]
    done = CliRunner().invoke(app, [*arguments, "--context", "16", "--max-tokens", "40"])
    facts = json.loads(done.stdout)
    assert (facts["context"], facts["stride"], facts["windows"]) == (16, 16, 3)
    assert facts["tokens"] == 15 + 15 + 7
    assert CliRunner().invoke(app, ["eval", str(package)]).exit_code == 2


def test_scores_are_those_of_the_definition() -> None:
    random = np.random.default_rng(0)
    logits, original = random.normal(size=(2, 20, 11)).astype(np.float32) * 3
    targets = random.integers(0, 11, 20)
    p, q = (torch.from_numpy(x).double().log_softmax(-1) for x in (original, logits))
    loss, reference_loss, kl, agree = score(logits, targets, original)
    picked = torch.from_numpy(targets)
    assert np.allclose(loss, torch.nn.functional.nll_loss(q, picked, reduction="none"))
    assert np.allclose(reference_loss, torch.nn.functional.nll_loss(p, picked, reduction="none"))
    assert np.allclose(kl, (p.exp() * (p - q)).sum(-1))
    assert (agree == (p.argmax(-1) == q.argmax(-1)).numpy()).all()


def test_spans_cover_what_counts() -> None:
    (window,) = Windowing(context=400, min_context=9).cut([np.arange(300)])
    assert [row for start, stop in spans(window) for row in range(start, stop)] == [*range(8, 299)]
