"""Packages of images of any size, as clients of the runtime run them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.dialogues import TALKS
from tests.integrations.qbruntime.client import (
    FREQUENCIES,
    embedded,
    launched,
    logits_of,
    patches_and_angles,
    token_angles,
)
from tests.packages import HIDDEN, VOCAB
from vlmforge.decode.inputs import Inputs
from vlmforge.errors import PackageError
from vlmforge.integrations.qbruntime import BatchParam, Model, QbRuntimeError
from vlmforge.integrations.qbruntime.opened import Opened
from vlmforge.run.session import Session

talks = pytest.mark.parametrize("talk", TALKS.values(), ids=TALKS)


@pytest.fixture(scope="module")
def vision(dynamic_package: Path) -> Model:
    return launched(dynamic_package, "vision")


@pytest.fixture
def text(dynamic_package: Path) -> Model:
    return launched(dynamic_package, "language")


def positioned(session: Session, inputs: Inputs) -> np.ndarray:
    """int64 ``[3, n]`` of a prompt."""
    return session.new_context().positions_of(inputs)


@talks
def test_images_and_videos(dynamic_session: Session, vision: Model, talk: Any) -> None:
    _, visuals = dynamic_session.prepare(talk)

    for visual, features in zip(visuals, dynamic_session.encode(visuals), strict=True):
        (rows,) = vision.infer(patches_and_angles(visual))
        np.testing.assert_array_equal(rows[0], features.rows)


@talks
@pytest.mark.parametrize("chunk", [1000, 9])
def test_prompts_and_answers(dynamic_session: Session, text: Model, talk: Any, chunk: int) -> None:
    inputs = dynamic_session.inputs(talk)
    angles = token_angles(positioned(dynamic_session, inputs))
    rows = embedded(dynamic_session, inputs)

    for at in range(0, len(inputs), chunk):
        given = [rows[:, :, at : at + chunk], angles[:, at : at + chunk]]
        (found,) = text.infer(given, None, at)

    assert found.shape == (1, 1, 1, VOCAB)
    np.testing.assert_array_equal(found.reshape(-1), logits_of(dynamic_session, inputs)[0])


def test_batches(dynamic_session: Session, text: Model) -> None:
    prompts = [dynamic_session.inputs(talk) for talk in list(TALKS.values())[:2]]
    rows = np.concatenate([embedded(dynamic_session, each) for each in prompts], axis=2)
    angles = [token_angles(positioned(dynamic_session, each)) for each in prompts]
    params = [BatchParam(len(each), 0, slot) for slot, each in enumerate(prompts)]

    (found,) = text.infer([rows, np.concatenate(angles, axis=1)], None, 0, params)

    for logits, inputs in zip(found[0, 0], prompts, strict=True):
        np.testing.assert_array_equal(logits, logits_of(dynamic_session, inputs)[0])


def test_what_models_say_of_themselves(text: Model, vision: Model) -> None:
    assert text.get_model_input_shape() == [(1, -1, HIDDEN), (1, -1, 128)]
    assert vision.get_model_input_shape() == [(1, -1, 1176), (1, -1, 16), (1, -1, 16)]
    assert vision.get_model_output_shape() == [(1, -1, HIDDEN)]


@pytest.mark.parametrize(
    "change", [lambda a: a[:, ::-1], lambda a: a[:, :-1], lambda a: np.roll(a, 4, axis=1)]
)
def test_patches_in_another_order_are_refused(
    dynamic_session: Session, vision: Model, change: Callable[[np.ndarray], np.ndarray]
) -> None:
    _, (visual,) = dynamic_session.prepare(TALKS["an image"])
    given = [np.ascontiguousarray(change(each)) for each in patches_and_angles(visual)]

    with pytest.raises(QbRuntimeError, match="are no image"):
        vision.infer(given)
    with pytest.raises(QbRuntimeError, match="1 inputs are given, the model takes 3"):
        vision.infer(given[:1])
    with pytest.raises(QbRuntimeError, match="rows of 8 numbers, the model takes 16"):
        vision.infer([given[0], given[1][:, :, :8], given[2]])
    with pytest.raises(QbRuntimeError, match="which are not as many"):
        vision.infer([given[0][:, 4:], *given[1:]])


def test_angles_of_no_positions_are_refused(dynamic_session: Session, text: Model) -> None:
    rows = dynamic_session.package.embeddings[:40][None, None]
    places = np.tile(np.arange(40), (3, 1))

    for frequencies, sections in ((FREQUENCIES * 1.1, [2, 3, 3]), (FREQUENCIES, [4, 2, 2])):
        angles = token_angles(places + 0.0, frequencies, sections)
        with pytest.raises(QbRuntimeError, match="belong to no positions"):
            text.infer([rows, angles + (0 if sections[0] == 2 else 0.03)])
    with pytest.raises(QbRuntimeError, match="belong to no positions"):
        text.infer([rows, token_angles(places + 0.5)])
    with pytest.raises(QbRuntimeError, match="belong to no positions"):
        text.infer([rows, np.full((1, 40, 128), np.nan)])
    with pytest.raises(QbRuntimeError, match="1 inputs are given, the model takes 2"):
        text.infer([rows])


def test_programs_without_an_interface_are_refused(dynamic_package: Path) -> None:
    opened = Opened(dynamic_package)
    package = opened.package
    assert package.vision is not None
    further = replace(package.text, meta={**package.text.meta, "stream_inputs": ["deepstack_0"]})
    tiles = replace(package.vision, meta={**package.vision.meta, "layout": "tiles"})
    opened.package = replace(package, text=further, vision=tiles)

    with pytest.raises(PackageError, match="deepstack_0"):
        opened.program("tiny_text_model.mxq")
    with pytest.raises(PackageError, match="images in tiles"):
        opened.program("tiny_vision_transformer.mxq")
