"""Windows of texts as calibration samples of a plain decoder."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.conftest import TEXT, make_tokenizer
from vlmforge.calibrate.text import record_text
from vlmforge.errors import CalibrationError, FormatError
from vlmforge.formats.samples import Samples, read_samples
from vlmforge.source.checkpoint import Checkpoint


def recorded(model: Path, out: Path, texts: list[str], *options: int) -> Samples:
    files = [str(out / f"{index}.txt") for index in range(len(texts))]
    for file, text in zip(files, texts, strict=True):
        Path(file).write_text(text, encoding="utf-8")
    return read_samples(record_text(Checkpoint.open(str(model)), files, out, *options), "language")


def starts(samples: Samples) -> set[tuple[str, int]]:
    return {(sample.facts["text"], sample.facts["start"]) for sample in samples}


def test_windows_stand_side_by_side_and_stay_within_a_text(
    tiny_decoder: Path, tmp_path: Path
) -> None:
    tokens = len(make_tokenizer().encode(TEXT).ids)
    samples = recorded(tiny_decoder, tmp_path, [TEXT, "A blue cross."], 100, 16)
    expected = {("0.txt", start) for start in range(0, tokens - 15, 16)} | {("1.txt", 0)}
    assert starts(samples) == expected


def test_a_sample_is_what_the_decoder_receives(tiny_decoder: Path, tmp_path: Path) -> None:
    (sample,) = recorded(tiny_decoder, tmp_path, [TEXT], 1, 24)
    arrays, start = sample.load(), sample.facts["start"]
    ids = make_tokenizer().encode(TEXT).ids[start : start + 24]
    table = Checkpoint.open(str(tiny_decoder)).weight("language_model.embed_tokens.weight").load()
    np.testing.assert_array_equal(arrays["inputs_embeds"], table.numpy()[ids][None])
    np.testing.assert_array_equal(arrays["position_ids"], np.tile(np.arange(24), (3, 1)))
    assert not arrays["token_types"].any()


def test_the_seed_chooses_among_the_windows(tiny_decoder: Path, tmp_path: Path) -> None:
    chosen = [starts(recorded(tiny_decoder, tmp_path, [TEXT * 4], 3, 8, seed)) for seed in (0, 1)]
    assert len(chosen[0]) == len(chosen[1]) == 3
    assert chosen[0] != chosen[1]


@pytest.mark.parametrize(
    ("texts", "options", "message"),
    [
        ([], (3, 16), "no calibration texts"),
        (["Hi."], (3, 16), "no window"),
        ([TEXT], (0, 16), "0 samples"),
        ([TEXT], (3, 16385), "do not fit the 16384"),
    ],
)
def test_what_gives_no_sample_is_refused(
    tiny_decoder: Path, tmp_path: Path, texts: list[str], options: tuple[int, int], message: str
) -> None:
    with pytest.raises(CalibrationError, match=message):
        recorded(tiny_decoder, tmp_path, texts, *options)


def test_a_file_that_is_no_text_is_named(tiny_decoder: Path, tmp_path: Path) -> None:
    (tmp_path / "picture").write_bytes(b"\xff\xfe")
    with pytest.raises(FormatError, match="picture"):
        record_text(Checkpoint.open(str(tiny_decoder)), [tmp_path / "picture"], tmp_path)
