"""Calibration samples: written as a whole, refused when they do not fit the model."""

from __future__ import annotations

import json
import os
import pickle
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vlmforge.errors import CalibrationError
from vlmforge.formats.samples import ExpectedShapes, Samples, SampleWriter, read_samples

FACTS = {"model": "tests/tiny", "model_fingerprint": "1" * 64, "image_size": [224, 224]}
EXPECT: ExpectedShapes = {"inputs_embeds": (1, "seq", 8), "position_ids": (3, "seq")}


def sample(length: int) -> dict[str, np.ndarray]:
    return {
        "inputs_embeds": np.full((1, length, 8), length, np.float32),
        "position_ids": np.arange(3 * length).reshape(3, length),
        "token_types": np.zeros(length, np.int8),
    }


def write(directory: Path, *lengths: int, **facts: Any) -> Path:
    with SampleWriter(directory, "language", {**FACTS, **facts}) as writer:
        for length in lengths:
            writer.add(sample(length), prompt=f"é {length}", image=None)
    return directory


def read(directory: Path) -> Samples:
    return read_samples(directory, "language", model_fingerprint="1" * 64, expect=EXPECT)


def edit(directory: Path, **changes: Any) -> None:
    path = directory / "language" / "metadata.json"
    path.write_text(json.dumps({**json.loads(path.read_text("utf-8")), **changes}))


def test_samples_read_back(tmp_path: Path) -> None:
    samples = read(write(tmp_path, 3, 5))
    assert samples.facts == FACTS
    assert [each.name for each in samples] == ["sample_000", "sample_001"]
    assert samples[1].facts["prompt"] == "é 5"
    for name, array in sample(5).items():
        np.testing.assert_array_equal(samples[1].load()[name], array)
        assert samples[1].load()[name].dtype == array.dtype


def test_names_of_any_bytes_are_told(tmp_path: Path) -> None:
    place, text = tmp_path / os.fsdecode(b"caf\xe9"), os.fsdecode(b"diary\xe9.txt")
    samples = read(write(place, 3, texts=[text]))
    assert samples.facts["texts"] == ["diary?.txt"] and samples[0].load().keys() == sample(3).keys()
    assert read(place / "language" / "npy_files.txt").facts == samples.facts


def test_options_tell_no_names_of_files(tmp_path: Path) -> None:
    samples = read(write(tmp_path, 3, 5, texts=["diary.txt"], length=64, seed=7))
    assert samples.options() == {"count": 2, "image_size": [224, 224], "length": 64, "seed": 7}


def test_the_component_directory_and_the_list_of_files_name_the_samples(tmp_path: Path) -> None:
    write(tmp_path, 3)
    for path in (tmp_path / "language", tmp_path / "language" / "npy_files.txt"):
        assert len(read(path)) == 1


def test_the_list_of_files_is_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write(Path("calibration"), 3, 5)
    directory = tmp_path / "calibration" / "language"
    files = (directory / "npy_files.txt").read_text().splitlines()
    assert files == [str(directory / f"sample_00{i}" / "inputs_embeds.npy") for i in range(2)]
    assert all(Path(file).is_file() for file in files)


def test_the_fingerprint_follows_the_arrays(tmp_path: Path) -> None:
    one = read(write(tmp_path / "a", 3, 5)).fingerprint()
    assert read(write(tmp_path / "b", 3, 5)).fingerprint() == one
    assert read(write(tmp_path / "c", 5, 3)).fingerprint() != one


def test_an_interrupted_writer_leaves_the_old_samples(tmp_path: Path) -> None:
    write(tmp_path, 3, 5)
    with (
        pytest.raises(KeyboardInterrupt),
        SampleWriter(tmp_path, "language", FACTS) as writer,
    ):
        writer.add(sample(9))
        raise KeyboardInterrupt
    assert [path.name for path in tmp_path.iterdir()] == ["language"]
    assert len(read(tmp_path)) == 2


def test_facts_that_are_not_json_leave_the_old_samples(tmp_path: Path) -> None:
    write(tmp_path, 3, 5)
    with pytest.raises(TypeError):
        write(tmp_path, 3, image_size=object())
    assert len(read(tmp_path)) == 2
    assert [path.name for path in tmp_path.iterdir()] == ["language"]


def test_missing_samples_name_the_command_that_makes_them(tmp_path: Path) -> None:
    for path, message in ((tmp_path / "none", "does not exist"), (tmp_path, "no metadata.json")):
        with pytest.raises(CalibrationError, match=message) as caught:
            read(path)
        assert caught.value.mend is not None
        assert "vlmforge calibrate" in caught.value.mend


def test_no_samples_are_refused(tmp_path: Path) -> None:
    with pytest.raises(CalibrationError, match="there are no samples"):
        read(write(tmp_path))


def test_samples_of_another_component_are_refused(tmp_path: Path) -> None:
    with pytest.raises(CalibrationError, match="for the language component, not vision"):
        read_samples(write(tmp_path, 3) / "language", "vision")


def test_samples_of_another_model_are_refused(tmp_path: Path) -> None:
    with pytest.raises(CalibrationError, match="another model, tests/other"):
        read(write(tmp_path, 3, model="tests/other", model_fingerprint="2" * 64))


def test_a_sample_of_another_shape_is_named(tmp_path: Path) -> None:
    write(tmp_path, 3, 5)
    text = "inputs_embeds of sample_000 has the shape [1, 3, 8], not "
    expected: list[tuple[ExpectedShapes, str]] = [
        ({"inputs_embeds": (1, "seq", 16)}, text + "[1, seq, 16]: 8 where there should be 16"),
        ({"inputs_embeds": (1, "2*pairs", 8)}, text + "[1, 2*pairs, 8]: 3 is not a multiple of 2"),
        (
            {"position_ids": (3, "seq"), "inputs_embeds": (1, "seq", "seq")},
            text + "[1, seq, seq]: 8 where there should be 3",
        ),
    ]
    for expect, message in expected:
        with pytest.raises(CalibrationError, match=re.escape(message)):
            read_samples(tmp_path, "language", expect=expect)
    with pytest.raises(CalibrationError, match=r"sample_000 has no images\.npy"):
        read_samples(tmp_path, "language", expect={"images": (896, 56, 6)})


def test_another_file_in_the_arrays_place_is_refused(tmp_path: Path) -> None:
    write(tmp_path, 3)
    np.save(tmp_path / "language" / "sample_000" / "inputs_embeds.npy", np.zeros((1, 3, 9)))
    with pytest.raises(CalibrationError, match="inputs_embeds of sample_000 is not the file"):
        read(tmp_path)


def test_values_that_are_not_finite_are_refused(tmp_path: Path) -> None:
    arrays = sample(3)
    arrays["inputs_embeds"][0, 1, 2] = np.nan
    with SampleWriter(tmp_path, "language", FACTS) as writer:
        writer.add(arrays)
    with pytest.raises(CalibrationError, match="inputs_embeds of sample_000 has NaN"):
        read(tmp_path)[0].load()


HEADER = b"\x93NUMPY\x01\x00"


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"no array",
        pickle.dumps([1, 2]),
        HEADER + b"\x10\x00{'descr': '<f4'}",
        HEADER + b"\xff\xff" + b"(" * 65535,
        HEADER
        + b"\x46\x00{'descr': '<f4', 'fortran_order': False, 'shape': (1099511627776,)}   \n",
        HEADER
        + b"\x3a\x00{'descr': '|O', 'fortran_order': False, 'shape': (1,)}    \n"
        + b"\0" * 8,
    ],
)
def test_an_unreadable_array_is_refused(tmp_path: Path, content: bytes) -> None:
    write(tmp_path, 3)
    (tmp_path / "language" / "sample_000" / "inputs_embeds.npy").write_bytes(content)
    with pytest.raises(CalibrationError, match="cannot be read"):
        read(tmp_path)


def test_a_missing_array_and_an_archive_are_refused(tmp_path: Path) -> None:
    file = write(tmp_path, 3) / "language" / "sample_000" / "inputs_embeds.npy"
    file.unlink()
    with pytest.raises(CalibrationError, match="is missing"):
        read(tmp_path)
    with file.open("wb") as archive:
        np.savez(archive, inputs_embeds=np.zeros((1, 3, 8), np.float32))
    with pytest.raises(CalibrationError, match="not an array of numbers"):
        read(tmp_path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format": "other"}, "'format' is malformed"),
        ({"version": 2}, "of version 2, this vlmforge reads 1"),
        ({"component": "audio"}, "'component' is malformed"),
        ({"count": 5}, "count is not that of samples"),
        ({"samples": [1], "count": 1}, "'samples.0' is malformed"),
        ({"samples": [{"name": "../x", "arrays": {}}], "count": 1}, "cannot be those"),
        (
            {
                "samples": [{"name": "a", "arrays": {"../x": {"shape": [1], "dtype": "int8"}}}],
                "count": 1,
            },
            "cannot be those",
        ),
    ],
)
def test_malformed_metadata_are_refused(
    tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    write(tmp_path, 3)
    edit(tmp_path, **changes)
    with pytest.raises(CalibrationError, match=message):
        read(tmp_path)
