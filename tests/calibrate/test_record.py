"""Samples hold what the original decoder and vision encoder receive."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from tests.tasks.copies import Copies
from vlmforge.calibrate.images import collect_images
from vlmforge.calibrate.prompts import PROMPTS
from vlmforge.calibrate.record import record_language, record_vision
from vlmforge.errors import CalibrationError, SourceError
from vlmforge.images.layout import DYNAMIC, Layout
from vlmforge.images.patches import PatchLayout
from vlmforge.images.reading import read_image
from vlmforge.original.reference import ReferenceModel
from vlmforge.source.checkpoint import Checkpoint
from vlmforge.tasks.here import HERE


@pytest.fixture(scope="module")
def checkpoint(tiny_checkpoint: Path) -> Checkpoint:
    return Checkpoint.open(str(tiny_checkpoint))


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three images of noise and a broken one."""
    directory = tmp_path_factory.mktemp("images")
    random = np.random.default_rng(0)
    for index in range(3):
        pixels = random.integers(0, 256, (50, 80, 3), np.uint8)
        Image.fromarray(pixels).save(directory / f"photo{index}.png")
    (directory / "photo1b.png").write_bytes(b"broken")
    return directory


def metadata(directory: Path) -> dict[str, Any]:
    """The ``metadata.json``."""
    value: dict[str, Any] = json.loads((directory / "metadata.json").read_text())
    return value


def listed(directory: Path) -> list[Path]:
    """The files of ``npy_files.txt``."""
    return [Path(line) for line in (directory / "npy_files.txt").read_text().splitlines()]


def test_language(
    checkpoint: Checkpoint, images: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    told: list[tuple[str, int, int]] = []
    with caplog.at_level(logging.WARNING):
        directory = record_language(
            checkpoint,
            images,
            tmp_path / "data",
            max_new_tokens=6,
            progress=lambda *now: told.append(now),
        )
    assert "Skipping photo1b.png" in caplog.text
    assert ("prompts 1 to 4", 3, 3) in told and ("language samples", 4, 4) in told
    facts = metadata(directory)
    assert directory == tmp_path / "data" / "language"
    assert facts["model"] == "Tiny-VL"
    assert facts["model_fingerprint"] == checkpoint.fingerprint()
    assert facts["image_size"] == [224, 224]
    assert facts["image_source"] == "directory"
    assert [s["image"] for s in facts["samples"]] == ["photo0.png", "photo1.png", "photo2.png"]
    assert [path.name for path in listed(directory)] == ["inputs_embeds.npy"] * 3
    for path, sample in zip(listed(directory), facts["samples"], strict=True):
        embeds, positions, types = (
            np.load(path.with_name(f"{name}.npy"))
            for name in ("inputs_embeds", "position_ids", "token_types")
        )
        length = embeds.shape[1]
        assert sample["prompt_length"] < length <= sample["prompt_length"] + 6
        assert (embeds.shape, embeds.dtype) == ((1, length, 96), np.float32)
        assert (positions.shape, positions.dtype) == ((3, length), np.int64)
        assert (types.shape, types.dtype, types.sum()) == ((length,), np.int8, 64)


def test_the_recorded_answer_is_the_models_own(
    checkpoint: Checkpoint, images: Path, tmp_path: Path
) -> None:
    directory = record_language(checkpoint, images, tmp_path / "out", 1, max_new_tokens=5)
    sample = metadata(directory)["samples"][0]
    reference = ReferenceModel.load(checkpoint)
    (path,) = listed(directory)
    embeds = torch.from_numpy(np.load(path))
    positions = torch.from_numpy(np.load(path.with_name("position_ids.npy")))
    start = sample["prompt_length"] - 1
    predicted = reference.logits(embeds, positions, start).argmax(-1)[:-1]
    prompt = reference.inputs(sample["prompt"], [read_image(images / sample["image"])])
    assert predicted.tolist() == reference.generate(prompt, 5)


def test_images_and_prompts_take_turns(checkpoint: Checkpoint, tmp_path: Path) -> None:
    collect_images(tmp_path / "images", 2, source=_two(tmp_path / "own"))
    directory = record_vision(checkpoint, tmp_path / "images", tmp_path / "data", 4)
    samples = metadata(directory)["samples"]
    assert [s["image"] for s in samples] == ["image_0000.jpg", "image_0001.jpg"] * 2
    assert [s["prompt"] for s in samples] == [PROMPTS[i].text for i in (0, 1, 3, 4)]


def _two(directory: Path) -> Path:
    directory.mkdir()
    for name in ("a.png", "b.png"):
        Image.new("RGB", (30, 30), "red").save(directory / name)
    return directory


def test_vision(checkpoint: Checkpoint, images: Path, tmp_path: Path) -> None:
    directory = record_vision(checkpoint, images, tmp_path / "data")
    assert len(listed(directory)) == 3
    recorded = np.load(listed(directory)[0])
    assert (recorded.shape, recorded.dtype) == ((896, 56, 6), np.float32)
    reference = ReferenceModel.load(checkpoint)
    inputs = reference.inputs("Hi.", [read_image(images / "photo0.png")])
    assert np.array_equal(
        PatchLayout().of_blocks(recorded), inputs.pictures["pixel_values"].numpy()
    )


def test_images_that_keep_their_sizes(checkpoint: Checkpoint, tmp_path: Path) -> None:
    images = _two(tmp_path / "own")
    directory = record_vision(checkpoint, images, tmp_path / "data", 9, DYNAMIC)
    facts = metadata(directory)
    assert facts["layout"] == "dynamic" and "image_size" not in facts
    sizes = [sample["size"] for sample in facts["samples"]]
    areas = [height * width for height, width in sizes]
    low, high = 3136, 100352
    bounds = [low * (high / low) ** (k / 3) for k in range(4)]
    for index, area in enumerate(areas):
        least, most = bounds[index % 3], bounds[index % 3 + 1]
        assert 0.9 * least < area < 1.1 * most
    assert len({height / width for height, width in sizes}) > 4
    for path in listed(directory):
        patches, positions = np.load(path), np.load(path.with_name("position_ids.npy"))
        assert patches.shape[1] == 1176 and positions.shape == (3, len(patches))
        rows, columns = positions[:2].max(1) + 1
        assert rows * columns == len(patches) and not positions[2].any()


def test_language_samples_keep_sizes_too(checkpoint: Checkpoint, tmp_path: Path) -> None:
    images = _two(tmp_path / "own")
    directory = record_language(checkpoint, images, tmp_path / "out", 4, 3, layout=DYNAMIC)
    counts = [int((np.load(f.with_name("token_types.npy")) == 1).sum()) for f in listed(directory)]
    assert len(set(counts)) > 2 and max(counts) <= 128


def test_image_source_is_told(checkpoint: Checkpoint, images: Path, tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    Image.new("RGB", (9, 9)).save(tmp_path / "images" / "a.png")
    (tmp_path / "images" / "source.json").write_text('{"source": "scenes"}')
    directory = record_vision(checkpoint, tmp_path / "images", tmp_path / "data")
    assert metadata(directory)["image_source"] == "scenes"


@pytest.mark.parametrize("record", [record_language, record_vision])
def test_no_readable_image(checkpoint: Checkpoint, tmp_path: Path, record: Any) -> None:
    with pytest.raises(CalibrationError, match="cannot be read") as caught:
        record(checkpoint, tmp_path / "absent", tmp_path / "out")
    assert "vlmforge images" in (caught.value.mend or "")
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "bad.jpg").write_bytes(b"broken")
    with pytest.raises(CalibrationError, match="no image can be read"):
        record(checkpoint, tmp_path / "images", tmp_path / "out")
    assert not list(tmp_path.rglob("sample_*"))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"num_samples": 0}, "no samples"),
        ({"max_new_tokens": 0}, "no length"),
        ({"dtype": "int8"}, "no dtype int8"),
        ({"layout": Layout((224, 225))}, "multiples of 28"),
        ({"layout": Layout((0, 28))}, "multiples of 28"),
        ({"layout": Layout(max_pixels=3000)}, "leave no size"),
    ],
)
def test_settings_out_of_range(
    checkpoint: Checkpoint, images: Path, tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises((CalibrationError, SourceError), match=message):
        record_language(checkpoint, images, tmp_path / "out", **changes)


def _given(directory: Path, images: Path, count: int = 2) -> Path:
    """A file of answers about the images."""
    file = directory / "answers.jsonl"
    lines = [
        {"image": str(images / f"photo{i}.png"), "question": f"Is it {i}?", "answer": f"It is {i}."}
        for i in range(count)
    ]
    file.write_text("\n".join(map(json.dumps, lines)))
    return file


def test_given_answers(checkpoint: Checkpoint, images: Path, tmp_path: Path) -> None:
    file = _given(tmp_path, images)
    directory = record_language(checkpoint, None, tmp_path / "data", answers=file, layout=DYNAMIC)
    facts = metadata(directory)
    assert (facts["answers"], facts["answers_file"]) == ("given", "answers.jsonl")
    assert facts["image_source"] == "given"
    assert [s["prompt"] for s in facts["samples"]] == ["Is it 0?", "Is it 1?"]
    assert [s["size"] for s in facts["samples"]] == [[50, 80]] * 2
    reference = ReferenceModel.load(checkpoint, layout=DYNAMIC)
    stop, tokenizer = reference.stop[0], reference.processor.tokenizer
    for index, path in enumerate(listed(directory)):
        prompt = reference.inputs(f"Is it {index}?", [read_image(images / f"photo{index}.png")])
        answer = tokenizer.encode(f"It is {index}.", add_special_tokens=False)
        whole = reference.embed(prompt.followed_by([*answer, stop]))
        assert np.array_equal(np.load(path), whole.inputs_embeds.numpy())
        positions = np.load(path.with_name("position_ids.npy"))
        assert np.array_equal(positions, whole.position_ids.numpy())


def test_given_answers_bring_the_images_of_vision_samples(
    checkpoint: Checkpoint, images: Path, tmp_path: Path
) -> None:
    file = _given(tmp_path, images, 3)
    directory = record_vision(checkpoint, None, tmp_path / "data", 2, DYNAMIC, answers=file)
    samples = metadata(directory)["samples"]
    assert len(samples) == 2 and all(sample["size"] == [50, 80] for sample in samples)


def test_prompts_alone(checkpoint: Checkpoint, images: Path, tmp_path: Path) -> None:
    directory = record_language(checkpoint, images, tmp_path / "data", 2, answers="none")
    facts = metadata(directory)
    assert facts["answers"] == "none" and "max_new_tokens" not in facts
    lengths = [np.load(path).shape[1] for path in listed(directory)]
    assert lengths == [sample["prompt_length"] for sample in facts["samples"]]


def test_a_streamed_model_leaves_the_same_samples(
    checkpoint: Checkpoint, images: Path, tmp_path: Path
) -> None:
    whole, streamed = (
        record_language(checkpoint, images, tmp_path / str(way), 3, 8, streamed=way)
        for way in (False, True)
    )
    for one, other in zip(listed(whole), listed(streamed), strict=True):
        assert np.array_equal(np.load(one), np.load(other))


def test_no_images_at_all_are_refused(checkpoint: Checkpoint, tmp_path: Path) -> None:
    with pytest.raises(CalibrationError, match="no images are named"):
        record_language(checkpoint, None, tmp_path / "data")


@pytest.mark.parametrize("answers", ["own", "none"])
def test_whoever_answers_leaves_the_same_samples(
    answers: str, checkpoint: Checkpoint, images: Path, tmp_path: Path
) -> None:
    told: list[tuple[str, int, int]] = []
    here, there = (
        record_language(
            checkpoint, images, tmp_path / name, 18, 4,
            progress=lambda *now: told.append(now), answers=answers, tasks=tasks,
        )
        for name, tasks in (("here", HERE), ("there", Copies()))
    )  # fmt: skip
    assert told.count(("language samples", 18, 18)) == 2
    assert metadata(here).keys() == metadata(there).keys()
    files = [path for folder in listed(here) for path in sorted(folder.parent.glob("*.npy"))]
    assert files
    for one in files:
        assert one.read_bytes() == (there / one.relative_to(here)).read_bytes()
