"""Planted outliers leave a model's function as it is, and are as large as they are said to be."""

from __future__ import annotations

import json
from pathlib import Path
from types import ModuleType

import pytest
import torch
from torch import Tensor

from tests.families.models import write_model
from vlmforge.calibrate.scenes import draw_scene
from vlmforge.families.family import Family
from vlmforge.families.registry import families
from vlmforge.original.reference import ReferenceModel
from vlmforge.source.checkpoint import Checkpoint

ACCURACY = Path(__file__).parents[2] / "benchmarks" / "accuracy"
ARCHITECTURES = [f"Qwen{name}ForConditionalGeneration" for name in ("2VL", "2_5_VL", "3VL")]

each_family = pytest.mark.parametrize(
    "family", [families()[name] for name in ARCHITECTURES], ids=lambda family: family.architecture
)


@pytest.fixture
def outliers(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(ACCURACY))
    import outliers

    return outliers


def opened(path: Path) -> ReferenceModel:
    return ReferenceModel.load(Checkpoint.open(str(path)))


def logits(reference: ReferenceModel) -> Tensor:
    """Logits of a question about a picture."""
    inputs = reference.inputs("What color is the square?", [draw_scene(99).image])
    embedded = reference.embed(inputs)
    return reference.logits(
        embedded.inputs_embeds, embedded.position_ids, deepstack=embedded.deepstack
    )


@each_family
def test_a_planted_model_computes_the_same(
    outliers: ModuleType,
    family: Family,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    source, out = write_model(family, tmp_path / "Tiny", dtype=torch.float32), tmp_path / "planted"
    words = [str(source), str(out), "--scenes", "1", "--plant", "spread", "gated"]
    monkeypatch.setattr("sys.argv", ["outliers.py", *words])
    outliers.main()
    facts = json.loads(capsys.readouterr().out)
    assert abs(facts["kl"]) < 1e-5
    expected, planted = logits(opened(source)), opened(out)
    assert (logits(planted) - expected).abs().max() < 1e-3 * expected.abs().max()
    for name, stream in outliers.streams(planted.model).items():
        rows = outliers.rows_read(stream, lambda: outliers.answered(planted, range(1)))
        found = outliers.extent(torch.cat(rows))
        assert found == pytest.approx(facts[name]["planted"], rel=0.01, abs=0.11)
        assert found["times"] > 1.5 * facts[name]["before"]["times"]
    gated = [part for part in planted.model.modules() if hasattr(part, "gate_proj")]
    assert facts["gated"] == len(gated)
    for mlp in gated:
        lengths = mlp.up_proj.weight.norm(dim=1)
        channels, _ = outliers.chosen(len(lengths))
        assert lengths[channels].min() > 50 * lengths.median()


@each_family
def test_products_say_of_a_sink_what_they_said_of_the_first_token(
    outliers: ModuleType, family: Family, tmp_path: Path
) -> None:
    reference = opened(write_model(family, tmp_path / "Tiny", dtype=torch.float32))
    outliers.untie(reference.model)
    stream = outliers.streams(reference.model)["decoder"]
    outliers.give_up(stream)
    first = int(reference.inputs("", []).input_ids[0, 0])
    ids = torch.tensor([[first, 5, 9, 200, 31]])
    with torch.inference_mode():
        expected = reference.model(input_ids=ids).logits
    outliers.sink(reference, stream, size=900.0)
    _, silent = outliers.chosen(stream.width)
    rows = outliers.rows_read(stream, lambda: reference.model(input_ids=ids))
    for read in rows:
        torch.testing.assert_close(read[0, silent], torch.full((2,), 900.0, dtype=torch.float64))
        assert not read[1:, silent].any()
        assert read[0].abs().median() < 30
    with torch.inference_mode():
        found = reference.model(input_ids=ids).logits
    assert (found - expected).abs().max() < 1e-3 * expected.abs().max()


@pytest.mark.parametrize("centred", [False, True])
def test_directions_become_channels(outliers: ModuleType, centred: bool) -> None:
    generator = torch.Generator().manual_seed(0)
    directions = torch.randn(24, 3, generator=generator, dtype=torch.float64)
    if centred:
        directions -= directions.mean(dim=0)
    directions, _ = torch.linalg.qr(directions)
    rotation = outliers.turning([*directions.T], [2, 11, 20], centred)
    identity = torch.eye(24, dtype=torch.float64)
    torch.testing.assert_close(rotation @ rotation.T, identity)
    carried = directions.T @ rotation
    assert (carried[range(3), [2, 11, 20]].abs() > (0.9 if centred else 1 - 1e-9)).all()
    rows = torch.randn(7, 24, generator=generator, dtype=torch.float64)
    if centred:
        torch.testing.assert_close((rows @ rotation).mean(dim=1), rows.mean(dim=1))


def test_a_model_that_does_not_see_is_refused(
    outliers: ModuleType,
    tiny_decoder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("sys.argv", ["outliers.py", str(tiny_decoder), str(tmp_path / "out")])
    with pytest.raises(SystemExit):
        outliers.main()
    assert "is none of Qwen2VLForConditionalGeneration" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
