"""Walking instruction by instruction gives the bits of the whole program, and its real values."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from vlmforge.config import CompileConfig
from vlmforge.diagnose.original import original_graphs
from vlmforge.diagnose.scales import buffer_scales
from vlmforge.diagnose.tally import Tally
from vlmforge.diagnose.walk import Side, Walk
from vlmforge.formats.package import open_package
from vlmforge.graph.evaluate import evaluate
from vlmforge.images.layout import FIXED
from vlmforge.machine.machine import open_machine
from vlmforge.pipeline import compile_model
from vlmforge.source.checkpoint import Checkpoint


def test_both_sides_are_those_of_a_whole_run(compiled: Path, tiny_checkpoint: Path) -> None:
    package, checkpoint = open_package(compiled), Checkpoint.open(str(tiny_checkpoint))
    original = original_graphs(package, checkpoint).components["language"]
    embeds = np.random.default_rng(0).normal(size=(1, 9, 96)).astype(np.float32) * 0.1
    steps = np.arange(9)
    feeds = {
        "inputs_embeds": embeds, "position_ids": np.stack([steps] * 3), "logits_index": steps,
    }  # fmt: skip
    real = {name: torch.from_numpy(array) for name, array in feeds.items()}
    side = Side(dict(real), dict(feeds), np.full(9, 2, np.int8))

    walk = Walk(package.text, original.graph, original.plain)
    walk.run([side])

    whole = open_machine(package.text).run(feeds)
    assert np.array_equal(side.codes["lm_head"], whole["lm_head"])
    assert torch.allclose(
        side.real["lm_head"], evaluate(original.graph, real)["lm_head"], rtol=1e-5
    )
    head = next(record for record in walk.records if record.name == "lm_head")
    assert head.accumulated["decode"].rows == 9 and head.accumulated["text"].rows == 0
    assert head.accumulated["decode"].sqnr_db is not None


def test_every_integer_buffer_has_a_scale(compiled: Path) -> None:
    for program in (open_package(compiled).text, open_package(compiled).vision):
        assert program is not None
        scales = buffer_scales(program)
        integers = {n for n, b in program.buffers.items() if b.dtype in ("int8", "int16")}
        assert set(scales) == integers
        assert all((np.asarray(scale) > 0).all() for scale in scales.values())


def test_codes_with_a_zero_point_are_read_as_what_they_stand_for(
    tiny_checkpoint: Path, tmp_path: Path
) -> None:
    config = CompileConfig.parse({"calibration": {"method": 3}})
    compile_model(
        str(tiny_checkpoint),
        tmp_path / "p",
        images="synthetic",
        num_samples=3,
        max_new_tokens=2,
        config=config,
        layout=FIXED,
    )
    package, checkpoint = open_package(tmp_path / "p"), Checkpoint.open(str(tiny_checkpoint))
    assert package.vision is not None
    original = original_graphs(package, checkpoint).components["vision"]
    images = np.random.default_rng(0).normal(size=(896, 56, 6)).astype(np.float32)
    walk = Walk(package.vision, original.graph, original.plain)
    side = Side({"images": torch.from_numpy(images)}, {"images": images}, np.zeros(16, np.int8))
    walk.run([side])
    shifted = {s.name for s in package.vision.instructions if "zero_point" in s.attrs}
    readers = {s.name for s in package.vision.instructions if shifted & set(s.inputs)}
    assert shifted and len(readers) == len(shifted)
    for record in walk.records:
        if record.name in shifted | readers:
            (local,) = [tally for tally in record.local.values() if tally.rows]
            assert local.sqnr_db is not None and local.sqnr_db > 30, record.name
            assert record.outside < 0.001 * record.elements or record.name in readers


@given(st.integers(1, 30), st.integers(1, 20), st.floats(1e-4, 10), st.integers(0, 99))
def test_sqnr_is_that_of_the_noise_put_in(rows: int, size: int, ratio: float, seed: int) -> None:
    random = np.random.default_rng(seed)
    signal = random.normal(size=(rows, size)) * 10.0 ** random.integers(-1, 2, (rows, 1))
    signal += np.sign(signal) * 0.1
    noise = random.normal(size=(rows, size)) + 1e-3
    noise *= np.sqrt(ratio * (signal**2).sum(1) / (noise**2).sum(1))[:, None]
    tally = Tally()
    for part in np.array_split(np.arange(rows), 3):
        tally.add(signal[part], signal[part] + noise[part])

    assert tally.rows == rows
    np.testing.assert_allclose(tally.ratio, ratio, rtol=1e-2)


def test_equal_values_have_no_noise() -> None:
    tally = Tally()
    tally.add(np.zeros((2, 3)), np.zeros((2, 3)))

    assert tally.sqnr_db is None
    assert tally.mean_cosine == 1
