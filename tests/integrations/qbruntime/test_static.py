"""Packages of one image size, and of plain decoders, as clients of the runtime run them."""

from __future__ import annotations

import gc
import io
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.dialogues import picture, user
from tests.integrations.qbruntime.client import block, embedded, launched, logits_of
from tests.packages import HIDDEN, VOCAB, write_decoder_package
from vlmforge.decode.inputs import Inputs
from vlmforge.integrations.qbruntime import BatchParam, CoreMode, Model, QbRuntimeError
from vlmforge.run.session import Session

TALKS = [
    [user("What is it?")],
    [user(picture(0, (224, 224)), "What is it?")],
    [user("Look:", picture(1), "and", picture(2), picture(1), "Which?")],
]


@pytest.fixture(scope="module")
def session(tiny_package: Path) -> Session:
    return Session.open(tiny_package)


@pytest.fixture(scope="module")
def vision(tiny_package: Path) -> Model:
    return launched(tiny_package, "vision")


@pytest.fixture
def text(tiny_package: Path, vision: Model) -> Model:
    return launched(tiny_package, "language")


def shown(session: Session, vision: Model, talk: Any) -> Inputs:
    """A prompt whose images the model of the vision program has encoded."""
    token_ids, visuals = session.prepare(talk)
    inputs = session.join(token_ids, session.encode(visuals))
    if visuals:
        (rows,) = vision.infer([np.stack([block(visual.slice(0)) for visual in visuals])])
        np.testing.assert_array_equal(rows.reshape(-1, HIDDEN), inputs.rows)
    return inputs


@pytest.mark.parametrize("talk", TALKS)
@pytest.mark.parametrize("chunk", [1000, 33, 7])
def test_prompts_and_answers(
    session: Session, vision: Model, text: Model, talk: Any, chunk: int
) -> None:
    inputs = shown(session, vision, talk)
    rows, answer = embedded(session, inputs), [5, 7, 11]
    wanted = logits_of(session, inputs, answer)

    for at in range(0, len(inputs), chunk):
        (last,) = text.infer([rows[:, :, at : at + chunk]], None, at)
    found = [last]
    for number, token in enumerate(answer):
        row = session.package.embeddings[[token]][None, None]
        found += text.infer([row], None, len(inputs) + number)

    for logits, expected in zip(found, wanted, strict=True):
        assert logits.shape == (1, 1, 1, VOCAB)
        np.testing.assert_array_equal(logits.reshape(-1), expected)


def test_logits_have_the_rank_of_embeddings(session: Session, vision: Model, text: Model) -> None:
    rows = embedded(session, shown(session, vision, TALKS[0]))

    assert text.infer([rows[0]])[0].shape == (1, 1, VOCAB)
    assert text.infer(rows[0, 0])[0].shape == (1, VOCAB)


@pytest.mark.parametrize("kept", [70, 40, 3, 0])
def test_a_smaller_cache_size_forgets(
    session: Session, vision: Model, text: Model, kept: int
) -> None:
    """Also in the middle of an image, which then goes on."""
    inputs = shown(session, vision, TALKS[2])
    rows = embedded(session, inputs)
    text.infer([rows])

    (again,) = text.infer([rows[:, :, kept:]], None, kept)

    np.testing.assert_array_equal(again.reshape(-1), logits_of(session, inputs)[0])


def test_rows_nobody_ran_are_not_made_up(session: Session, vision: Model, text: Model) -> None:
    rows = embedded(session, shown(session, vision, TALKS[0]))
    text.infer([rows[:, :, :4]])

    with pytest.raises(QbRuntimeError, match="holds 4 rows, so nothing goes on behind 5"):
        text.infer([rows[:, :, 5:]], None, 5)


def test_a_batch_equals_its_sequences(session: Session, vision: Model, text: Model) -> None:
    prompts = [shown(session, vision, talk) for talk in TALKS]
    rows = [embedded(session, inputs)[0, 0] for inputs in prompts]
    begun = [BatchParam(20, 0, slot) for slot in (3, 0, 15)]
    rest = [BatchParam(len(r) - 20, 20, slot) for r, slot in zip(rows, (3, 0, 15), strict=True)]

    text.infer([np.concatenate([r[:20] for r in rows])[None, None]], None, 0, begun)
    (found,) = text.infer([np.concatenate([r[20:] for r in rows])[None, None]], None, 0, rest)

    assert found.shape == (1, 1, 3, VOCAB)
    for logits, inputs in zip(found[0, 0], prompts, strict=True):
        np.testing.assert_array_equal(logits, logits_of(session, inputs)[0])


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ([BatchParam(4, 0, 0), BatchParam(4, 0, 0)], "two sequences of a batch have one slot"),
        ([BatchParam(4, 0, 0), BatchParam(3, 0, 1)], r"have \[4, 3\] rows, 8 are given"),
        ([BatchParam(8, 0, 0), BatchParam(0, 0, 1)], r"have \[8, 0\] rows"),
        ([BatchParam(4, 0, 0), BatchParam(4, 0, 16)], "no slot 16"),
        ([BatchParam(4, 0, 0), BatchParam(4, -1, 1)], "nothing goes on behind -1"),
    ],
)
def test_batches_that_cannot_be(text: Model, session: Session, params: Any, message: str) -> None:
    rows = session.package.embeddings[:8][None, None]

    with pytest.raises(QbRuntimeError, match=message):
        text.infer([rows], None, 0, params)


def test_rows_that_are_nothing_are_refused(session: Session, vision: Model, text: Model) -> None:
    inputs = shown(session, vision, TALKS[1])
    rows = embedded(session, inputs)
    image = inputs.spans[0]
    rounded = (rows.view(np.uint32) & 0xFFFF0000).view(np.float32)  # as bfloat16 has it
    with pytest.raises(QbRuntimeError, match=r"row 0 is neither .*(.|\n)*float32"):
        text.infer([rounded])
    with pytest.raises(QbRuntimeError, match=f"row {image.start} is neither"):
        text.infer([np.delete(rows, image.start, axis=2)])

    text.infer([rows[:, :, : image.start + 5]])
    with pytest.raises(QbRuntimeError, match="does not go on with the image"):
        text.infer([rows[:, :, image.stop :]], None, image.start + 5)
    with pytest.raises(QbRuntimeError, match="not finite"):
        launched(session.package.dir, "vision").infer([np.full((896, 56, 6), np.nan)])


@pytest.mark.parametrize("cut", [3, 40, None])
def test_slots_are_carried_over(
    session: Session, vision: Model, text: Model, tmp_path: Path, cut: int | None
) -> None:
    """Also with a part of an image."""
    inputs = shown(session, vision, TALKS[1])
    rows = embedded(session, inputs)
    cut = cut or len(inputs) - 1
    text.infer([rows[:, :, :cut]])
    other = launched(session.package.dir, "language")

    other.load_cache_memory(text.dump_cache_memory(0), 2)
    text.dump_cache_memory_to(tmp_path / "kv", 0)
    other.load_cache_memory_from(str(tmp_path / "kv"), 5)

    for slot in (2, 5):
        part = BatchParam(len(inputs) - cut, cut, slot)
        (found,) = other.infer([rows[:, :, cut:]], None, 0, [part])
        np.testing.assert_array_equal(found.reshape(-1), logits_of(session, inputs)[0])


def respanned(dumped: bytes, spans: list[list[int]]) -> bytes:
    """A dump with other images."""
    found, archive = np.load(io.BytesIO(dumped)), io.BytesIO()
    np.savez(archive, **{**found, "spans": np.array(spans)})
    return archive.getvalue()


def test_dumps_that_are_none(
    session: Session, vision: Model, text: Model, dynamic_package: Path, tmp_path: Path
) -> None:
    text.infer([embedded(session, shown(session, vision, TALKS[0]))])
    (dumped,) = text.dump_cache_memory()
    foreign = launched(dynamic_package, "language").dump_cache_memory()

    with pytest.raises(QbRuntimeError, match="of another package"):
        text.load_cache_memory(foreign)
    for span in ([0, -1, 1, 8, 8], [-1, -1, 1, 1, 1], [9999, -1, 1, 1, 1], [0, -1, 1, 0, 8]):
        with pytest.raises(QbRuntimeError, match="images that cannot be in it"):
            text.load_cache_memory([respanned(dumped, [span, [5, -1, 1, 1, 1]])])
    for damaged in (b"", b"PK", dumped[:-30], np.arange(3).tobytes()):
        with pytest.raises(QbRuntimeError, match="no dump of a slot"):
            text.load_cache_memory([damaged])
    with pytest.raises(QbRuntimeError, match="2 buffers"):
        text.load_cache_memory([dumped, dumped])
    with pytest.raises(QbRuntimeError, match="no dump of a slot"):
        text.load_cache_memory_from(tmp_path)
    with pytest.raises(QbRuntimeError, match="vision program has no slots"):
        vision.dump_cache_memory()
    assert text.dump_cache_memory() == [dumped]


def test_what_models_say_of_themselves(text: Model, vision: Model) -> None:
    handle = text.get_model_variant_handle(0)
    assert handle.get_model_input_shape() == text.get_model_input_shape() == [(1, -1, HIDDEN)]
    assert handle.get_model_output_shape() == text.get_model_output_shape() == [(1, 1, VOCAB)]
    assert text.get_input_buffer_info()[0].max_cache_size == 512
    (layer,) = text.get_cache_infos()
    assert (layer.name, layer.size, layer.num_batches) == ("layer_0", 512 * 2 * 32, 16)
    assert vision.get_model_input_shape() == [(896, 56, 6)]
    assert vision.get_model_output_shape() == [(1, 64, HIDDEN)]
    assert vision.get_cache_infos() == [] and vision.get_num_model_variants() == 1
    with pytest.raises(QbRuntimeError, match="no variant 1"):
        text.get_model_variant_handle(1)


@pytest.mark.parametrize("mode", ["auto", "single", "multi", "global4", "global8"])
def test_core_modes_compute_the_same(session: Session, vision: Model, mode: str) -> None:
    model = launched(session.package.dir, "language", mode)
    inputs = shown(session, vision, TALKS[1])

    assert model.get_core_mode() is CoreMode(mode)
    (found,) = model.infer([embedded(session, inputs)])
    np.testing.assert_array_equal(found.reshape(-1), logits_of(session, inputs)[0])


def test_models_are_launched_and_disposed(session: Session, text: Model) -> None:
    rows = session.package.embeddings[:3][None, None]
    text.infer([rows])
    text.dispose()
    assert text._acc is None
    with pytest.raises(QbRuntimeError, match="not launched"):
        text.infer([rows])


def test_nothing_of_a_model_outlives_it(tiny_package: Path) -> None:
    import weakref

    model = launched(tiny_package, "language")
    known = weakref.WeakKeyDictionary({model: 1})
    del model
    gc.collect()
    assert len(known) == 0


def test_threads_run_models_side_by_side(session: Session, vision: Model, text: Model) -> None:
    prompts = [shown(session, vision, talk) for talk in TALKS]
    found: dict[int, np.ndarray] = {}

    def run(slot: int) -> None:
        rows = embedded(session, prompts[slot])
        found[slot] = text.infer([rows], None, 0, [BatchParam(rows.shape[2], 0, slot)])[0]

    threads = [threading.Thread(target=run, args=(slot,)) for slot in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    for slot, inputs in enumerate(prompts):
        np.testing.assert_array_equal(found[slot].reshape(-1), logits_of(session, inputs)[0])


def test_paths_that_lead_to_no_program(tiny_package: Path, tmp_path: Path) -> None:
    for path, message in (
        (tmp_path / "none.mxq", "no file"),
        (tiny_package / "model.safetensors", "names no such program"),
        (tiny_package, "no file"),
    ):
        with pytest.raises(QbRuntimeError, match=message):
            Model(path)


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ([], "0 inputs are given"),
        ([np.zeros((1, 1, 2, HIDDEN)), np.zeros((1, 2, 128))], "2 inputs are given"),
        ([np.zeros((2, 3, HIDDEN))], r"\[2, 3, 96\], not \[1"),
        ([np.zeros((1, 1, 0, HIDDEN))], r"\[1, 1, 0, 96\]"),
        ([np.zeros(HIDDEN)], r"\[96\], not"),
        ([np.zeros((1, 3, HIDDEN - 1))], "rows of 95 numbers, the model takes 96"),
    ],
)
def test_rows_of_other_shapes_are_refused(text: Model, inputs: Any, message: str) -> None:
    with pytest.raises(QbRuntimeError, match=message):
        text.infer(inputs)


def test_images_of_other_shapes_are_refused(vision: Model) -> None:
    for inputs in ([np.zeros((896, 56, 5))], [np.zeros((64, 56, 6))], [np.zeros((1, 4, 1176))] * 3):
        with pytest.raises(QbRuntimeError, match=r"the model takes \[\[896, 56, 6\]\]"):
            vision.infer(inputs)


def test_more_rows_than_a_slot_has_are_refused(session: Session, text: Model) -> None:
    rows = np.repeat(session.package.embeddings[:1], 513, axis=0)[None, None]

    with pytest.raises(QbRuntimeError, match="do not fit a cache"):
        text.infer([rows])
    text.infer([rows[:, :, :512]])


def test_plain_decoders(tiny_decoder: Path, tmp_path: Path) -> None:
    package = write_decoder_package(tmp_path / "package", tiny_decoder)
    session = Session.open(package)
    model = launched(package, "language")
    inputs = session.inputs([{"role": "user", "content": "What?"}])
    rows = embedded(session, inputs) * np.float32(1.25)  # any rows will do, without images

    text = model.infer([embedded(session, inputs)])[0]
    model.infer([rows[:, :, :4]])
    found = model.infer([rows[:, :, 4:]], None, 4)[0]

    np.testing.assert_array_equal(text.reshape(-1), logits_of(session, inputs)[0])
    np.testing.assert_array_equal(found, model.infer([rows])[0])
